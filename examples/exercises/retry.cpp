// retry, exercise 6. A call that fails is tried again, as long as there is time. Let the pause
// between two tries double each time, and end when the context ends. A pause that the deadline
// would cut short is not worth beginning: give up at once then, while the context is still live.
// Whoever gives up returns the error of the last try, not that of the context.
//
// It should print what stands in retry.txt.
//
// Hint: context.hpp says what sleep_for answers where the deadline lies within the sleep. Does it
// also say when?
#include <functional>
#include <iostream>
#include <syncstream>
#include <thread>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

using Call = std::function<std::error_code(const Context& ctx)>;

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

int main(int argc, char** argv) {
    int fails = 3;
    context::duration pause = 100ms, timeout = 1min, cancel_after = context::duration::max();
    CLI::App app("A call that is tried again.", "retry");
    app.add_option("--fails", fails, "how many tries fail [3]");
    add_duration(app, "--pause", pause, "the first pause between two tries [100ms]");
    add_duration(app, "--timeout", timeout, "how long all tries may take [1m]");
    add_duration(app, "--cancel-after", cancel_after, "when to cancel them [never]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
    const auto [returned, has_returned] = context::with_cancel(context::background());
    std::jthread canceller([&] {
        if (context::sleep_for(returned, cancel_after)) return;
        out() << "cancel" << std::endl;
        cancel();
        if (!context::sleep_for(returned, 3s)) out() << "3 s later: still there" << std::endl;
    });
    const std::error_code err = retry(ctx, pause, flaky(fails, pause));
    has_returned();
    out() << (err ? "gave up: " : "done: ") << err.message()
          << "; context: " << (ctx.err() ? ctx.err().message() : "live") << std::endl;
}
