// retry, exercise 6. A call that fails is tried again, as long as there is time. Let the pause
// between two tries double each time, and let a cancel interrupt it. A pause that the deadline
// would cut short is not worth beginning: give up at once then, while the context is still live. If
// retry gives up, it returns the error of the last try, not that of the context.
//
// It should print what stands in retry.txt.
//
// Hint: context.hpp says what sleep_for returns if the deadline lies within the sleep. Does it also
// say when?
#include <functional>
#include <iostream>
#include <syncstream>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

using Call = std::function<std::error_code(const Context& ctx)>;

// retry calls until a call succeeds. It returns the error of the last call.
// EDIT HERE: it keeps to no deadline, its pauses do not grow, and nothing interrupts them.
static std::error_code retry(const Context& ctx, context::duration pause, const Call& call) {
    for (;;) {
        const std::error_code err = call(ctx);
        if (!err || ctx.err()) return err;
        std::this_thread::sleep_for(pause);
    }
}

// flaky returns a call that fails so many times, and says so if it is tried again too early.
static Call flaky(int fails, context::duration pause) {
    return [=, tries = 0, due = context::time_point::min()](const Context& ctx) mutable {
        const bool early = std::chrono::steady_clock::now() < due;
        std::error_code err = ctx.err();
        if (++tries <= fails && !err) {
            err = make_error_code(tries % 2 ? std::errc::connection_refused
                                            : std::errc::connection_reset);
        }
        out() << "try " << tries << (early ? ", too early: " : ": ") << err.message() << std::endl;
        due = std::chrono::steady_clock::now() + pause;
        pause *= 2;
        return err;
    };
}

struct Tries {
    int fail;
    context::duration pause, timeout, cancel_after;
};

static void run(const Tries& tries) {
    const auto [ctx, cancel] = context::with_timeout(context::background(), tries.timeout);
    const auto [returned, has_returned] = context::with_cancel(context::background());
    std::jthread canceller([&] {
        const std::error_code too_late = context::sleep_for(returned, tries.cancel_after);
        if (too_late) return;
        out() << "cancel" << std::endl;
        cancel();
        const std::error_code in_time = context::sleep_for(returned, 3s);
        if (!in_time) out() << "3 s later: still there" << std::endl;
    });
    const std::error_code err = retry(ctx, tries.pause, flaky(tries.fail, tries.pause));
    has_returned();
    out() << (err ? "gave up: " : "done: ") << err.message()
          << "; context: " << (ctx.err() ? ctx.err().message() : "live") << std::endl;
}

int main() {
    run({.fail = 3, .pause = 100ms, .timeout = 1min, .cancel_after = 1h});
    run({.fail = 99, .pause = 1s, .timeout = 2900ms, .cancel_after = 1h});
    run({.fail = 99, .pause = 6s, .timeout = 1min, .cancel_after = 1s});
}
