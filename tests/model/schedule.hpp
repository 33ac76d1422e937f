// Schedule runs a few threads, as fibers of one real thread, in every order in which they can meet.
//
// Each operation of tests/model/std.hpp ends with a step, where another thread may go on. explore
// runs a scenario again and again, each time with the next sequence of choices, depth first, until
// it has seen all that preempt a thread at most `bound` times. Time stands still, but may pass at
// any step to when the next sleeping thread wakes, if that is within the hour. All memory orders
// are taken for seq_cst, and data races are not seen: those are for the sanitizer for threads.
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
constexpr char service = '*';  // the name of a thread of the header, which need not end

struct Fiber {
    char name;
    Work work;
    bool is_done = false;
    const void* waits_for = nullptr;
    time_point wakes_at = never;
    ucontext_t context{};
};

class Schedule {
public:
    Schedule() {  // what a vector takes during a run would be memory of the run
        choices_.reserve(max_steps), log_.reserve(max_steps), static_guards.reserve(max_steps);
        fibers_.reserve(max_fibers), options_.reserve(max_fibers), at_exit.reserve(max_steps);
    }

    // explore ends the process at the first violation.
    void explore(const char* promise, const Work& scenario) {
        promise_ = promise;
        const long runs_before = runs;
        do {
            run(scenario);
            if (chosen_ != choices_.size()) fail("the runs of a scenario differ");
            while (!choices_.empty() && choices_.back() == 0) choices_.pop_back();
            if (!choices_.empty()) --choices_.back();
        } while (!choices_.empty());
        std::printf("%9ld %s\n", runs - runs_before, promise);
    }
    [[noreturn]] void fail(const char* violation) const {
        std::printf("violated: %s\n%s\n", promise_, violation);
        for (const auto& [name, operation] : log_) std::printf("  %c %s\n", name, operation);
        std::fflush(stdout);
        std::_Exit(1);
    }

    // at_once runs functions, each on a thread of its own. It and pass_time_to return when these
    // have ended, and no thread of the header can go on before time passes.
    void at_once(std::initializer_list<Work> threads) {
        for (char name = 'A'; const Work& work : threads) spawn(work, name++);
        go_on();
    }
    void pass_time_to(time_point t) {
        now = std::max(now, t);
        go_on();
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
        current->wakes_at = until - now < std::chrono::hours(1) ? until : never;
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
    Fiber* spawn(Work work, char name) {
        auto& stack = stacks_.at(fibers_.size());
        Fiber& f = fibers_.emplace_back(Fiber{name, std::move(work)});
        f.context = scenario_.context;
        f.context.uc_stack = {stack.data(), 0, stack.size()};
        ::makecontext(&f.context, run_current, 0);
        return &f;
    }

    int bound = 0;
    long runs = 0;
    bool is_running = false;
    int blocks = 0;  // of memory that the run has taken and must give back
    time_point now{};
    Fiber* current = nullptr;
    std::vector<long long*> static_guards;  // of the static objects that this run has made
    std::vector<void (*)()> at_exit;

private:
    static constexpr std::size_t max_steps = 1000, max_fibers = 8;

    void run(const Work& scenario) {
        ++runs, preemptions_ = 0, chosen_ = 0, blocks = 0;
        now = time_point{} + std::chrono::hours(1);
        current = &scenario_;
        ::getcontext(&scenario_.context);
        is_running = true;
        scenario();
        is_running = false;
        if (blocks > 0) fail("memory leaks");
        for (long long* const guard : static_guards) *guard = 0;
        fibers_.clear(), log_.clear(), static_guards.clear(), at_exit.clear();
    }
    static void run_current();

    bool can_run(const Fiber& f) const { return !f.is_done && (!f.waits_for || f.wakes_at <= now); }

    // go_on lets the current thread or another one go on, and the scenario if none can.
    void go_on() {
        options_.clear();
        Fiber* sleeper = nullptr;  // the next to wake
        bool is_over = true;
        for (Fiber& f : fibers_) {
            if (can_run(f) && &f != current) options_.push_back(&f);
            if (!can_run(f) && f.wakes_at < (sleeper ? sleeper->wakes_at : never)) sleeper = &f;
            is_over = is_over && (f.is_done || f.name == service);
        }
        const bool may_stay = current != &scenario_ && can_run(*current);
        if (sleeper && !(is_over && options_.empty() && !may_stay)) options_.push_back(sleeper);
        if (may_stay && preemptions_ == bound) options_.clear();
        if (may_stay) options_.push_back(current);
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
    // choose tries the last option first: to stay.
    Fiber* choose() {
        if (options_.size() == 1) return options_[0];
        if (chosen_ == choices_.size()) choices_.push_back(options_.size() - 1);
        return options_.at(choices_[chosen_++]);
    }

    const char* promise_ = nullptr;
    int preemptions_ = 0;
    std::vector<std::size_t> choices_;  // of each choice, how many options are still to be tried
    std::size_t chosen_ = 0;            // how many of the choices the run has made
    std::vector<std::pair<char, const char*>> log_;  // the steps: which thread, what
    const void* last_read_ = nullptr;
    std::vector<Fiber*> options_;
    std::vector<Fiber> fibers_;
    std::array<std::array<char, 64 * 1024>, max_fibers> stacks_;
    Fiber scenario_{};  // the real thread
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
