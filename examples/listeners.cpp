// listeners: five threads wait on one context, and one call wakes them all.
#include <iostream>
#include <latch>
#include <syncstream>
#include <thread>
#include <vector>

#include "context.hpp"

using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

static void listener(const Context& ctx, int id, std::latch& waiting) {
    out() << "listener " << id << " is waiting" << std::endl;
    waiting.count_down();
    context::wait(ctx);
    out() << "listener " << id << " is exiting" << std::endl;
}

int main() {
    constexpr int count = 5;
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::latch waiting(count);
    std::vector<std::jthread> listeners;
    for (int id = 0; id < count; ++id) {
        listeners.emplace_back([&ctx, &waiting, id] { listener(ctx, id, waiting); });
    }
    waiting.wait();
    out() << "canceling the context" << std::endl;
    cancel();  // by hand: the destructor of `cancel` runs only after the threads are joined
}
