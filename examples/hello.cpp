// hello: a complete program with a context. One side works until the other cancels it.
#include <iostream>
#include <thread>
#include "context.hpp"
using namespace std::chrono_literals;

static void work(const context::Context& ctx) {  // the side that is aborted
    while (!context::sleep_for(ctx, 400ms)) std::cout << "working" << std::endl;  // prints it twice
    std::cout << "aborted: " << ctx.err().message() << std::endl;  // "context canceled"
}

int main() {
    std::jthread worker;  // declared first, so that it is joined last
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    worker = std::jthread(work, ctx);
    std::this_thread::sleep_for(1s);
    cancel();  // with 500ms in place of 1h, the deadline comes first: "context deadline exceeded"
}
