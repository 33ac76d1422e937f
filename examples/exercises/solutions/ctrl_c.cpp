// ctrl_c: SIGINT is blocked before the first thread starts, and a thread waits for it, where it may
// cancel as it likes. When the work is done that thread may still be waiting, so it is sent the
// signal: it then cancels a context that nobody needs any more, and can be joined.
//
// The process ends by the signal itself, not by an exit code of 130: so a shell that runs a script
// learns that Ctrl-C was pressed, and ends the script, too.
#include <csignal>
#include <iostream>
#include <thread>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using context::Context;

// handled tells whether a function is called on SIGINT.
static bool handled() {
    struct sigaction action{};
    ::sigaction(SIGINT, nullptr, &action);
    return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

static std::error_code work(const Context& ctx, context::duration takes) {
    std::cout << "at work; press Ctrl-C" << std::endl;
    const std::error_code err = context::sleep_for(ctx, takes);
    std::cout << (err ? err.message() : "all is done") << std::endl;
    if (handled()) std::cout << "SIGINT has a handler" << std::endl;
    std::cout << "cleaned up" << std::endl;
    return err;
}

int main(int argc, char** argv) {
    context::duration takes = 10s;
    CLI::App app("Work that cleans up after Ctrl-C.", "ctrl_c");
    add_duration(app, "--takes", takes, "how long the work takes [10s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);

    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::jthread waits_for_signal([&] {
        int number = 0;
        ::sigwait(&interrupt, &number);
        cancel();
    });
    const std::error_code err = work(ctx, takes);
    ::pthread_kill(waits_for_signal.native_handle(), SIGINT);
    waits_for_signal.join();
    if (err) {
        ::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
        std::raise(SIGINT);
    }
}
