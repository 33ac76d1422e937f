// What context.hpp calls `std` when it is checked: this namespace, which it finds before ::std.
// Here stand the models of all that threads share, on tests/model/schedule.hpp. Everything else is
// named one by one, so what context.hpp begins to use does not compile until it is thought of here.
#ifndef TESTS_MODEL_STD_HPP
#define TESTS_MODEL_STD_HPP

#include "tests/model/schedule.hpp"

namespace context::std {
using ::model::Fiber, ::model::never, ::model::schedule, ::model::time_point, ::model::Work;
using ::std::bad_alloc, ::std::errc, ::std::error_category, ::std::error_code,
    ::std::error_condition, ::std::exchange, ::std::lock_guard, ::std::memory_order,
    ::std::memory_order_acq_rel, ::std::memory_order_acquire, ::std::memory_order_relaxed,
    ::std::memory_order_release, ::std::min, ::std::move, ::std::nostopstate, ::std::nullopt,
    ::std::optional, ::std::ostream, ::std::stop_source, ::std::stop_token, ::std::string,
    ::std::swap, ::std::type_identity_t, ::std::uint32_t, ::std::uint8_t, ::std::unique_lock,
    ::std::vector;

// Two elements do for an array of equals, such as the parts of the timers.
template <class T, ::std::size_t>
using array = ::std::array<T, 2>;

// An atomic of static storage has its first value again in each run.
template <class T>
class atomic {
public:
    constexpr atomic(T value = {}) noexcept
        : value_(value), first_(value), run_(::std::is_constant_evaluated() ? 0 : all_runs) {}
    T load(memory_order = {}) const noexcept { return set("load", value(), this); }
    operator T() const noexcept { return load(); }
    T operator=(T v) noexcept { return set("store", v), v; }
    void store(T v, memory_order = {}) noexcept { set("store", v); }
    T exchange(T v, memory_order = {}) noexcept { return set("exchange", v); }
    T fetch_add(T d, memory_order = {}) noexcept { return set("add", T(value() + d)); }
    T fetch_sub(T d, memory_order = {}) noexcept { return set("subtract", T(value() - d)); }
    bool compare_exchange_strong(T& expected, T v, memory_order = {}, memory_order = {}) noexcept {
        const T wanted = expected;
        expected = set("compare and exchange", value() == wanted ? v : value());
        return expected == wanted;
    }
    void wait(T old, memory_order = {}) const noexcept {
        while (value() == old) schedule.wait(this);
    }
    void notify_one() noexcept { schedule.wake_one(this), set("notify", value()); }

private:
    static constexpr long all_runs = -1, freed = 0x5555555555555555;
    T& value() const noexcept {
        if (run_ == freed) schedule.fail("freed memory is used");
        if (run_ != all_runs && ::std::exchange(run_, schedule.runs) != schedule.runs)
            value_ = first_;
        return value_;
    }
    T set(const char* operation, T v, const void* read = nullptr) const noexcept {
        const T old = ::std::exchange(value(), v);
        schedule.step(operation, read);
        return old;
    }
    mutable T value_;
    const T first_;
    mutable long run_;  // the last one that used it
};

struct mutex {
    void lock() {
        while (is_locked) schedule.wait(this);
        is_locked = true;
        schedule.step("lock");
    }
    void unlock() { release(), schedule.step("unlock"); }
    void release() { is_locked = false, schedule.wake_all(this); }
    bool is_locked = false;
};

struct condition_variable {
    void notify_one() { schedule.wake_one(this), schedule.step("notify"); }
    void wait_until(unique_lock<mutex>& lock, time_point until) {
        lock.mutex()->release();
        schedule.wait(this, until);
        lock.mutex()->lock();
    }
    void wait_until(unique_lock<mutex>& lock, time_point until, auto holds) {
        while (!holds() && schedule.now < until) wait_until(lock, until);
    }
    void wait(unique_lock<mutex>& lock, auto... holds) { wait_until(lock, never, holds...); }
};

struct thread {
    thread() = default;
    explicit thread(Work work) : fiber(schedule.spawn(::std::move(work), ::model::service)) {
        --schedule.blocks;  // the object that it belongs to is never destroyed
    }
    bool joinable() const { return fiber; }
    const Fiber* get_id() const { return fiber; }
    void join() {
        while (!fiber->is_done) schedule.wait(fiber);
        fiber = nullptr;
    }
    const Fiber* fiber = nullptr;
};

// The real stop_callback, except that its destructor waits for a callback that another fiber runs.
template <class F>
struct stop_callback {
    stop_callback(const stop_token& token, F f)
        : real(token, [this, f] {
              runner = schedule.current;
              f();
              runner = nullptr;
              schedule.wake_all(this);
          }) {}
    ~stop_callback() {
        while (runner && runner != schedule.current) schedule.wait(this);
    }
    const Fiber* runner = nullptr;
    const ::std::stop_callback<Work> real;
};

inline int atexit(void (*f)()) { return schedule.at_exit.push_back(f), 0; }

namespace this_thread {
inline const Fiber* get_id() { return schedule.current; }
}  // namespace this_thread

namespace chrono {
using ::std::chrono::ceil, ::std::chrono::duration, ::std::chrono::hours,
    ::std::chrono::milliseconds;
struct steady_clock : ::std::chrono::steady_clock {
    static time_point now() { return schedule.now; }
};
}  // namespace chrono
}  // namespace context::std
#endif
