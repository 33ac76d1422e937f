// Ends while contexts live, deadlines are due and callbacks are registered, some of them older than
// the timer thread. No callback runs on that thread once the statics older than it are destroyed.
#include "context.hpp"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

using namespace std::chrono_literals;

namespace {

using OnDone = std::stop_callback<std::function<void()>>;

context::time_point last_deadline;
std::atomic<bool> torn_down = false;
std::atomic<int> late_callbacks = 0;
std::atomic<int> cancelled_by_destructors = 0;

struct First {
    ~First() {
        torn_down = true;
        // Time for a timer thread that was left running to give itself away.
        std::this_thread::sleep_until(last_deadline + 10ms);
        std::printf("%d late callbacks, %d contexts cancelled by destructors\n",
                    late_callbacks.load(), cancelled_by_destructors.load());
    }
};

struct Served {
    explicit Served(context::Cancellable m)
        : made(std::move(m)), on_done(made.ctx.done(), [] { late_callbacks += torn_down; }) {}
    context::Cancellable made;
    OnDone on_done;
};

// These are never destroyed, so that there is work until the process has ended.
std::vector<std::unique_ptr<Served>>& served = *new std::vector<std::unique_ptr<Served>>;
std::vector<std::unique_ptr<OnDone>>& kept = *new std::vector<std::unique_ptr<OnDone>>;

First first;
std::string name(100, 'x');

context::Cancellable before = context::with_cancel(context::background());
context::Cancellable with_callback = context::with_cancel(before.ctx);

context::Cancellable starts_the_timer_thread = context::with_timeout(before.ctx, 1h);
context::Cancellable after = context::with_timeout(starts_the_timer_thread.ctx, 30min);
OnDone removed(starts_the_timer_thread.ctx.done(), [] { std::puts("not removed"); });

}  // namespace

int main() {
    static auto local = context::with_timeout(before.ctx, 2ms);
    static OnDone reads_a_static(local.ctx.done(), [] { late_callbacks += name.size() != 100; });
    for (const context::Context& each : {with_callback.ctx, after.ctx}) {
        kept.push_back(std::make_unique<OnDone>(each.done(), [] { ++cancelled_by_destructors; }));
    }
    for (int i = 0; i < 200; ++i) {
        served.push_back(
            std::make_unique<Served>(context::with_timeout(context::background(), i * 200us)));
        last_deadline = *served.back()->made.ctx.deadline();
    }
    return 0;
}
