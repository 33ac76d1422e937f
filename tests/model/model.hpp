// What context.hpp calls `std` when it is checked: a model of threads, and of all that they share.
//
// A few threads run, as fibers of one real thread, in every order in which they can meet. Each
// operation on what they share ends with a step, where another thread may go on. explore runs a
// scenario again and again, each time with the next sequence of choices, depth first, until it has
// seen all that preempt a thread at most `bound` times. Time stands still, but may pass at any step
// to when the next sleeping thread wakes, if that is within the hour. All memory orders are taken
// for seq_cst, and data races are not seen: those are for the sanitizer for threads.
//
// It reports, with the steps that lead there: a false promise, a deadlock, a thread that never
// ends, a leak, a crash, and a use of freed memory.
#include <bits/stdc++.h>  // all of it: context.hpp may not include anything for the first time
#include <ucontext.h>

// Each address is given out once in a run. What is freed is overwritten.
alignas(64) std::array<char, 1 << 18> memory;
std::size_t used = 0;
int blocks = 0;  // taken and not given back
void* operator new(std::size_t size) {
    ++blocks;
    return &memory.at(std::exchange(used, used + (size + 63) / 64 * 64));
}
void* operator new(std::size_t size, std::align_val_t) { return operator new(size); }
void operator delete(void*) noexcept { --blocks; }
void operator delete(void* p, std::size_t n) noexcept { operator delete(std::memset(p, 0x55, n)); }

namespace model {
using Work = std::function<void()>;
using time_point = std::chrono::steady_clock::time_point;
constexpr time_point never = time_point::max();

struct Fiber {
    char name;
    Work work;  // empty when it has ended
    const void* waits_for = nullptr;
    time_point wakes_at = never;
    ucontext_t context{};
};
constexpr char service = '*';  // the name of a thread of the header, which need not end
constexpr std::size_t max_fibers = 8, max_steps = 1000;
std::array<std::array<char, 64 * 1024>, max_fibers> stacks;
std::vector<Fiber> fibers;
Fiber scenario_fiber{}, *current = &scenario_fiber;  // the former runs on the real thread

int runs, preemptions, bound;  // so far; in this run; in this run at most
time_point now;
std::vector<std::size_t> choices;  // of each choice, how many options are still to be tried
std::size_t chosen;                // how many of the choices the run has made
std::vector<Fiber*> options;
std::vector<std::pair<char, const char*>> steps;  // which thread, what
const void* last_read;
std::vector<void (*)()> at_exit;

[[noreturn]] void fail(const char* violation) {
    std::printf("violated: %s\n", violation);
    for (const auto& [name, operation] : steps) std::printf("  %c %s\n", name, operation);
    std::fflush(stdout);
    std::_Exit(1);
}
bool can_run(const Fiber& f) { return f.work && (!f.waits_for || f.wakes_at <= now); }

// choose tries the last option first.
Fiber* choose() {
    if (options.size() == 1) return options[0];
    if (chosen == choices.size()) choices.push_back(options.size() - 1);
    return options.at(choices[chosen++]);
}

// go_on lets the current thread or another one go on, and the scenario when all is over.
void go_on() {
    const bool may_stay = can_run(*current);
    if (may_stay && preemptions == bound) return;
    options.clear();
    Fiber* sleeper = nullptr;  // the next to wake
    bool is_over = true;
    for (Fiber& f : fibers) {
        if (can_run(f) && &f != current) options.push_back(&f);
        if (!can_run(f) && f.wakes_at < (sleeper ? sleeper->wakes_at : never)) sleeper = &f;
        is_over = is_over && !can_run(f) && (!f.work || f.name == service);
    }
    if (is_over || sleeper) options.push_back(is_over ? &scenario_fiber : sleeper);
    if (may_stay) options.push_back(current);
    if (options.empty()) fail("deadlock");
    Fiber* const last = std::exchange(current, choose());
    if (current == last) return;
    preemptions += may_stay;
    last_read = nullptr;
    ::swapcontext(&last->context, &current->context);
}

// A read that only repeats the last step is no step.
void step(const char* operation, const void* read = nullptr) {
    const bool repeats = std::exchange(last_read, read) == read && read;
    if (current == &scenario_fiber || repeats) return;
    if (steps.size() == max_steps) fail("a thread never ends");
    steps.push_back({current->name, operation});
    go_on();
}
void sleep_on(const void* what, time_point until = never) {
    if (current == &scenario_fiber) fail("a lock is held for good");
    current->waits_for = what;
    current->wakes_at = until - now < std::chrono::hours(1) ? until : never;
    go_on();
    if (std::exchange(current->waits_for, nullptr)) now = std::max(now, current->wakes_at);
    current->wakes_at = never;
}
void wake_all(const void* what) {
    for (Fiber& f : fibers) f.waits_for = f.waits_for == what ? nullptr : f.waits_for;
}
void wake_one(const void* what) {
    options.clear();
    for (Fiber& f : fibers)
        if (f.waits_for == what) options.push_back(&f);
    if (!options.empty()) choose()->waits_for = nullptr;
}

Fiber* spawn(Work work, char name) {
    Fiber& f = fibers.emplace_back(Fiber{name, std::move(work)});
    f.context = scenario_fiber.context;
    f.context.uc_stack = {stacks.at(fibers.size() - 1).data(), 0, sizeof stacks[0]};
    const auto run = [] { current->work(), current->work = nullptr, wake_all(current), go_on(); };
    ::makecontext(&f.context, run, 0);
    return &f;
}

// at_once lets time pass to t and runs functions, each on a thread of its own. It returns when
// these have ended, and no thread of the header can go on before time passes.
void at_once(std::initializer_list<Work> threads, time_point t = {}) {
    now = std::max(now, t);
    for (char name = 'A'; const Work& work : threads) spawn(work, name++);
    go_on();
}

// explore gives each run a new argument, and ends the process at the first violation.
void explore(const char* promise, auto scenario) {
    std::printf("%-68s", promise);
    choices.reserve(max_steps), steps.reserve(max_steps), at_exit.reserve(max_steps);
    fibers.reserve(max_fibers), options.reserve(max_fibers);  // or they would take it from a run
    ::getcontext(&scenario_fiber.context);
    const auto [runs_before, used_before] = std::pair(runs, used);
    do {
        fibers.clear(), steps.clear(), at_exit.clear();
        ++runs, preemptions = 0, chosen = 0, used = used_before, blocks = 0, now = {};
        scenario({});
        if (blocks > std::ranges::count(fibers, service, &Fiber::name)) fail("memory leaks");
        if (chosen != choices.size()) fail("the runs of a scenario differ");
        while (!choices.empty() && choices.back()-- == 0) choices.pop_back();
    } while (!choices.empty());
    std::printf("%9d schedules\n", runs - runs_before);
}
}  // namespace model

// context.hpp finds this namespace before ::std. What is an int here has no model yet.
namespace context::std {
using namespace ::std;
using namespace ::model;
extern int async, atomic_flag, atomic_ref, atomic_thread_fence, barrier, call_once,
    condition_variable_any, counting_semaphore, jthread, latch, recursive_mutex, shared_mutex,
    timed_mutex;

// Two elements do for an array of equals, such as the parts of the timers.
template <class T, size_t>
using array = ::std::array<T, 2>;

// An atomic of static storage has its first value again in each run.
template <class T>
class atomic {
public:
    constexpr atomic(T value = {}) noexcept
        : value_(value), first_(value), run_(is_constant_evaluated() ? 0 : runs) {}
    T load(auto...) const noexcept { return set("load", value(), this); }
    operator T() const noexcept { return load(); }
    T operator=(T v) noexcept { return set("store", v), v; }
    void store(T v, auto...) noexcept { set("store", v); }
    T exchange(T v, auto...) noexcept { return set("exchange", v); }
    T fetch_add(T d, auto...) noexcept { return set("add", T(value() + d)); }
    T fetch_sub(T d, auto...) noexcept { return set("subtract", T(value() - d)); }
    bool compare_exchange_strong(T& expected, T v, auto...) noexcept {
        const T wanted = expected;
        expected = set("compare and exchange", value() == wanted ? v : value());
        return expected == wanted;
    }
    void wait(T old, auto...) const noexcept {
        while (value() == old) sleep_on(this);
    }
    void notify_one() noexcept { wake_one(this), set("notify", value()); }

private:
    T& value() const noexcept {
        if (run_ == 0x55555555) fail("freed memory is used");
        if (::std::exchange(run_, runs) != runs) value_ = first_;
        return value_;
    }
    T set(const char* operation, T v, const void* read = nullptr) const noexcept {
        const T old = ::std::exchange(value(), v);
        step(operation, read);
        return old;
    }
    mutable T value_;
    const T first_;
    mutable int run_;  // the last one that used it
};

struct mutex {
    void lock() {
        while (is_locked) sleep_on(this);
        is_locked = true;
        step("lock");
    }
    void unlock() { release(), step("unlock"); }
    void release() { is_locked = false, wake_all(this); }
    bool is_locked = false;
};

struct condition_variable {
    void notify_one() { wake_one(this), step("notify"); }
    void wait_until(unique_lock<mutex>& lock, time_point until) {
        lock.mutex()->release();
        sleep_on(this, until);
        lock.mutex()->lock();
    }
    void wait_until(unique_lock<mutex>& lock, time_point until, auto holds) {
        while (!holds() && now < until) wait_until(lock, until);
    }
    void wait(unique_lock<mutex>& lock, auto holds) { wait_until(lock, never, holds); }
};

struct thread {
    thread() = default;
    explicit thread(Work work) : fiber(spawn(::std::move(work), service)) {}
    const Fiber* get_id() const { return fiber; }
    void join() {
        while (fiber->work) sleep_on(fiber);
    }
    const Fiber* fiber = nullptr;
};
namespace this_thread {
inline const Fiber* get_id() { return current; }
inline void yield() {}
}  // namespace this_thread

// The real stop_callback, except that its destructor waits for a callback that another fiber runs.
struct stop_callback {
    stop_callback(const stop_token& token, Work f)
        : real(token, [this, f] { runner = current, f(), runner = nullptr, wake_all(this); }) {}
    ~stop_callback() {
        while (runner && runner != current) sleep_on(this);
    }
    const Fiber* runner = nullptr;
    const ::std::stop_callback<Work> real;
};

inline int atexit(void (*f)()) { return at_exit.push_back(f), 0; }

namespace chrono {
using namespace ::std::chrono;
struct steady_clock : ::std::chrono::steady_clock {
    static time_point now() { return ::model::now; }
};
}  // namespace chrono
}  // namespace context::std

// What a compiler calls around the making of a static object, if the first byte of its guard is 0.
// It always is, so that each run makes the object anew. The guard is negative meanwhile.
extern "C" int __cxa_guard_acquire(long long* guard) {
    while (*guard < 0) model::sleep_on(guard);
    if (*guard == 256ll * model::runs) return 0;
    *guard = -256;
    return 1;
}
extern "C" void __cxa_guard_release(long long* guard) {
    *guard = 256ll * model::runs;
    model::wake_all(guard);
}
