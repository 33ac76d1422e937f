// worker: a worker with a context. It sleeps on it, so it is told at once when its time is over,
// and its caller can wait for it without fear.
//
// Go's `select` on time.After and ctx.Done() is one call here: context::sleep_for. A sleep that the
// deadline would cut short, or meet at its end, is always an error.
//
// Before: worker_abandoned.cpp leaves the worker running. Next: listeners.cpp cancels by hand.
#include <iostream>
#include <thread>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::error_code work(const Context& ctx, context::duration round) {
    for (int i = 0; i < 1000; ++i) {
        if (const std::error_code err = context::sleep_for(ctx, round)) {
            std::cout << "Cancel the context  " << i << std::endl;
            return err;
        }
        std::cout << "Doing some work  " << i << std::endl;
    }
    return {};
}

int main(int argc, char** argv) {
    context::duration round = 2s, timeout = 4s;
    CLI::App app("A worker that a context can stop.", "worker");
    add_duration(app, "--round", round, "how long a round takes [2s]");
    add_duration(app, "--timeout", timeout, "how long the worker may take [4s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
    std::cout << "Hey, I'm going to do some work" << std::endl;
    {
        std::jthread worker([&ctx, round] { work(ctx, round); });
    }  // waits for the worker
    std::cout << "Finished. I'm going home" << std::endl;
}
