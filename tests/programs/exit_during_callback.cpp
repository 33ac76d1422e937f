// Ends while a callback runs on the timer thread: the exit waits for it, so that it may use what is
// older than the timer thread. The callback goes on when a static that is younger is destroyed.
#include "context.hpp"

#include <cstdio>
#include <functional>
#include <latch>

using namespace std::chrono_literals;

namespace {

using OnDone = std::stop_callback<std::function<void()>>;

// These are never destroyed, so that the callback may still use them.
std::latch& entered = *new std::latch(1);
std::latch& torn_down = *new std::latch(1);
context::Cancellable& timed = *new context::Cancellable;
std::optional<OnDone>& on_done = *new std::optional<OnDone>;
std::atomic<bool> finished = false;

struct Older {
    ~Older() { std::puts(finished ? "the callback has finished" : "the callback still runs"); }
};

struct Younger {
    ~Younger() { torn_down.count_down(); }
};

Older older;
const context::Cancellable starts_the_timer_thread =
    context::with_timeout(context::background(), 1h);
Younger younger;

// registers the callback; false if the deadline was earlier, so that it was called at once.
bool register_callback() {
    static std::atomic<bool> at_once;
    at_once = false;
    on_done.reset();
    timed = context::with_timeout(context::background(), 1ms);
    on_done.emplace(timed.ctx.done(), [here = std::this_thread::get_id()] {
        if (std::this_thread::get_id() == here) {
            at_once = true;
            return;
        }
        entered.count_down();
        torn_down.wait();
        // Derives, as a callback may, now that exit() is on its way to stop the timers.
        const auto [child, cancel] = context::with_timeout(timed.ctx, 1h);
        const auto [other, cancel_other] = context::with_timeout(context::background(), 1h);
        finished = child.err() && !other.err();
    });
    return !at_once;
}

}  // namespace

int main() {
    while (!register_callback()) continue;
    entered.wait();
    return 0;
}
