// ctrl_c, exercise 5. Ctrl-C ends this program in the middle of its work, and nothing is cleaned
// up. Let it cancel the root context instead, so that the work is aborted, cleans up and returns.
// Then the process must end with 130, which is what a shell makes of SIGINT. If nobody presses
// Ctrl-C, it must end as before when the work is done. No signal handler may cancel: do without
// one.
//
// It should print what stands in ctrl_c.txt, where ^C sends the signal.
//
// Hint: examples/server_shutdown.cpp. What ends its thread, and what would end yours?
#include <csignal>
#include <iostream>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

// handled tells whether a function is called on SIGINT.
static bool handled() {
    struct sigaction action{};
    ::sigaction(SIGINT, nullptr, &action);
    return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

static std::error_code work(const Context& ctx) {
    std::cout << "at work; press Ctrl-C" << std::endl;
    const std::error_code aborted = context::sleep_for(ctx, 3s);
    std::cout << (aborted ? aborted.message() : "all is done") << std::endl;
    if (handled()) std::cout << "SIGINT has a handler" << std::endl;
    std::cout << "cleaned up" << std::endl;
    return aborted;
}

int main() {
    // EDIT HERE: SIGINT cancels ctx, and the process ends with 130.
    const auto [ctx, cancel] = context::with_cancel(context::background());
    work(ctx);
}
