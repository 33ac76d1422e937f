// Schedule runs a few threads, as fibers of one real thread, in every order in which they can meet.
//
// Each operation of tests/model/std.hpp ends with a step, where another thread may go on. explore
// calls a scenario again and again, each time with the next sequence of choices, depth first, until
// it has seen all that preempt a thread at most `bound` times. Time stands still, but may pass at
// any step to when the next sleeping thread wakes. All memory orders are taken for seq_cst, and
// data races are not seen: those are for the sanitizer for threads.
//
// It reports, with the steps that lead there: a promise that is false, a deadlock, a thread that
// never ends, a leak, a crash, and a use of freed memory.
#ifndef TESTS_MODEL_SCHEDULE_HPP
#define TESTS_MODEL_SCHEDULE_HPP

#include <bits/stdc++.h>  // all of it, because context.hpp may not include anything for the first time
#include <ucontext.h>

namespace model {

using Work = std::function<void()>;
using time_point = std::chrono::steady_clock::time_point;
constexpr time_point never = time_point::max();

struct Fiber {
    bool need_not_end() const { return is_done || is_service; }

    char name = ' ';
    bool is_service = false;  // started by the header
    Work work;
    bool is_done = false;
    const void* waits_for = nullptr;
    time_point wakes_at = never;
    int initializing = 0;  // static objects that it is making
    ucontext_t context{};
};

// Arena gives out the memory of one run, each address once. Freed memory is filled with `poison`.
struct Arena {
    struct alignas(64) Block {
        std::size_t size;
        bool may_stay, is_free;
    };
    static constexpr unsigned char poison = 0x55;

    void* allocate(std::size_t size, bool may_stay) {
        Block* const block = ::new (&bytes.at(used)) Block{size, may_stay, false};
        used += sizeof(Block) + (size + 63) / 64 * 64;
        live += !may_stay;
        return block + 1;
    }
    bool free(void* p) {  // false if it was free already
        Block& block = static_cast<Block*>(p)[-1];
        live -= !block.may_stay;
        std::memset(p, poison, block.size);
        return !std::exchange(block.is_free, true);
    }

    alignas(64) std::array<unsigned char, 1 << 18> bytes;
    std::size_t used = 0;
    int live = 0;  // blocks that may not stay
};

class Schedule {
public:
    Schedule() {  // what a vector takes during a run would be the arena's
        path_.reserve(max_steps), log_.reserve(max_steps), static_guards.reserve(max_steps);
        fibers_.reserve(max_fibers), options_.reserve(max_fibers), at_exit.reserve(max_steps);
    }

    // explore ends the process at the first violation, and gives up after `limit` runs.
    void explore(const char* promise, const Work& scenario, int bound, long limit) {
        promise_ = promise, bound_ = bound, runs_before_ = runs;
        do {
            run(scenario);
            while (!path_.empty() && path_.back().pick + 1 == path_.back().of) path_.pop_back();
            if (!path_.empty()) ++path_.back().pick;
        } while (!path_.empty() && runs < runs_before_ + limit);
        std::printf("%9ld%s %s\n", runs - runs_before_, path_.empty() ? " " : "+", promise);
        path_.clear();
    }

    // at_once runs functions, each on a thread of its own. It and pass_time_to return when these
    // have ended, and no thread of the header can go on before time passes.
    void at_once(std::initializer_list<Work> threads) {
        for (char name = 'A'; const Work& work : threads) spawn(work, name++, false);
        go_on();
    }
    void pass_time_to(time_point t) {
        now = std::max(now, t);
        go_on();
    }
    [[noreturn]] void fail(const char* what) {
        std::printf("violated: %s\n%s, in run %ld:", promise_, what, runs - runs_before_);
        char last = 0;
        for (const auto& [name, operation] : log_) {
            if (std::exchange(last, name) != name) std::printf("\n  %c:", name);
            std::printf(" %s", operation);
        }
        std::puts("");
        std::fflush(stdout);
        std::_Exit(1);
    }

    // What tests/model/std.hpp calls. A read that only repeats the last step is no step.
    void step(const char* operation, const void* read = nullptr) {
        const bool repeats = read && read == last_read_;
        last_read_ = read;
        if (current == &scenario_ || repeats) return;
        if (log_.size() == max_steps) fail("a thread never ends");
        log_.push_back({current->name, operation});
        go_on();
    }
    void wait(const void* what, time_point until = never) {
        if (current == &scenario_) fail("a lock is held for good");
        current->waits_for = what;
        current->wakes_at = until;
        go_on();
    }
    void wake_all(const void* what) {
        for (Fiber& f : fibers_) f.waits_for = f.waits_for == what ? nullptr : f.waits_for;
    }
    void wake_one(const void* what) {
        options_.clear();
        for (Fiber& f : fibers_) {
            if (f.waits_for == what) options_.push_back(&f);
        }
        if (!options_.empty()) choose()->waits_for = nullptr;
    }
    Fiber* spawn(Work work, char name, bool is_service) {
        auto& stack = stacks_.at(fibers_.size());
        Fiber& f = fibers_.emplace_back(Fiber{name, is_service, std::move(work)});
        f.context = scenario_.context;
        f.context.uc_stack = {stack.data(), 0, stack.size()};
        ::makecontext(&f.context, &Schedule::run_current, 0);
        return &f;
    }

    long runs = 0;
    bool is_running = false;
    time_point now{};
    Fiber* current = nullptr;
    Arena arena;
    std::vector<long long*> static_guards;  // of the static objects that this run has made
    std::vector<void (*)()> at_exit;

private:
    struct Choice {
        int pick, of;
    };
    static constexpr std::size_t max_steps = 1000, max_fibers = 8;

    void run(const Work& scenario) {
        ++runs, depth_ = 0, preemptions_ = 0;
        now = time_point{} + std::chrono::hours(1);
        current = &scenario_;
        ::getcontext(&scenario_.context);
        is_running = true;
        scenario();
        for (Fiber& f : fibers_) f.work = nullptr;
        is_running = false;
        if (arena.live > 0) fail("memory leaks");
        for (long long* const guard : static_guards) *guard = 0;
        arena.used = 0, arena.live = 0;
        fibers_.clear(), log_.clear(), static_guards.clear(), at_exit.clear();
    }
    static void run_current();

    bool can_run(const Fiber& f) const { return !f.is_done && (!f.waits_for || f.wakes_at <= now); }

    // go_on lets the current thread or another one go on, and the scenario if none can.
    void go_on() {
        options_.clear();
        const bool may_stay = current != &scenario_ && can_run(*current);
        if (may_stay) options_.push_back(current);
        Fiber* sleeper = nullptr;  // the next to wake
        for (Fiber& f : fibers_) {
            if (can_run(f) && &f != current) options_.push_back(&f);
            if (!can_run(f) && f.wakes_at < (sleeper ? sleeper->wakes_at : never)) sleeper = &f;
        }
        const bool is_over = std::ranges::all_of(fibers_, &Fiber::need_not_end);
        if (sleeper && !(options_.empty() && is_over)) options_.push_back(sleeper);
        if (may_stay && preemptions_ == bound_) options_.resize(1);
        if (options_.empty() && !is_over) fail("deadlock");
        Fiber* const next = options_.empty() ? &scenario_ : choose();
        if (next == sleeper) now = next->wakes_at;
        next->waits_for = nullptr;
        next->wakes_at = never;
        if (next == current) return;
        preemptions_ += may_stay;
        last_read_ = nullptr;
        Fiber* const last = std::exchange(current, next);
        ::swapcontext(&last->context, &next->context);
    }
    Fiber* choose() {
        const int of = int(options_.size());
        if (of == 1) return options_[0];
        if (depth_ == path_.size()) path_.push_back({0, of});
        if (path_[depth_].of != of) fail("the runs of a scenario differ");
        return options_[std::size_t(path_[depth_++].pick)];
    }

    const char* promise_ = nullptr;
    long runs_before_ = 0;
    int bound_ = 0, preemptions_ = 0;
    std::size_t depth_ = 0;  // how much of the path the run has gone
    std::vector<Choice> path_;
    const void* last_read_ = nullptr;
    std::vector<std::pair<char, const char*>> log_;  // the steps: which thread, what
    std::vector<Fiber*> options_;
    std::vector<Fiber> fibers_;
    std::array<std::array<char, 64 * 1024>, max_fibers> stacks_;
    Fiber scenario_;  // the real thread
};

inline Schedule schedule;

inline void Schedule::run_current() {
    Fiber& me = *schedule.current;
    me.work();
    me.work = nullptr;
    me.is_done = true;
    schedule.wake_all(&me);
    schedule.go_on();
}

}  // namespace model
#endif
