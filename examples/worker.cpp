// worker: a worker that sleeps on a context. When its time is up the sleep is aborted, so its
// caller can wait for it without fear.
//
// Go's `select` on time.After and ctx.Done() is one call here, context::sleep_for. A sleep that the
// deadline would cut short, or meet at its end as here, always returns an error.
#include <iostream>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::error_code work(const Context& ctx) {
    for (int i = 0; i < 1000; ++i) {
        if (const std::error_code aborted = context::sleep_for(ctx, 2s)) {
            std::cout << "Cancel the context  " << i << std::endl;
            return aborted;
        }
        std::cout << "Doing some work  " << i << std::endl;
    }
    return {};
}

int main() {
    const auto [ctx, cancel] = context::with_timeout(context::background(), 4s);
    std::cout << "Hey, I'm going to do some work" << std::endl;
    {
        std::jthread worker(work, ctx);
    }  // waits for the worker
    std::cout << "Finished. I'm going home" << std::endl;
}
