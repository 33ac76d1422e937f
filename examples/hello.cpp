// hello: a complete program with a context. One side works until the other cancels it.
#include <iostream>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;

static void work(const context::Context& ctx) {  // the side that is cancelled
    std::error_code interrupted;
    do {
        std::cout << "working" << std::endl;
        interrupted = context::sleep_for(ctx, 400ms);
    } while (!interrupted);
    std::cout << "stopped: " << interrupted.message() << std::endl;
}

int main() {  // the side that cancels
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    std::jthread worker(work, ctx);
    std::this_thread::sleep_for(1s);
    cancel();  // with a timeout of 500ms it comes too late: "context deadline exceeded"
}  // joins the worker
