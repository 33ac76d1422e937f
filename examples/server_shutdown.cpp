// server_shutdown: Ctrl-C, or SIGTERM, ends a server in good order. The signal cancels the root of
// all contexts, so that the requests at work hear of it; the server then waits for them, but not
// longer than its grace period. A second signal ends the process at once.
//
// No signal handler may cancel: so the signals are blocked, and a thread waits for them. Go's name
// for it is signal.NotifyContext.
//
// Before: service_caller.cpp.
#include <csignal>
#include <iostream>
#include <syncstream>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"
#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

// end_by ends the process as the signal would have: the shell that started it sees 128 + number.
// The signal must not be blocked on the thread that calls it.
static void end_by(int signal_number) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
}

int main(int argc, char** argv) {
    context::duration grace = 2s, deaf = 0s;
    CLI::App app("A server that signals end in good order.", "server_shutdown");
    add_duration(app, "--grace", grace, "how long the server waits for its requests [2s]");
    add_duration(app, "--deaf", deaf, "how long the request does not hear that it is told [0s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread, which inherits it

    int number = 0;
    const auto [root, cancel] = context::with_cancel(context::background());
    std::jthread waits_for_signal([&] {
        ::sigwait(&signals, &number);
        out() << "signal " << number << ": telling the requests" << std::endl;
        cancel();
    });

    const auto handler = [&](const Context& ctx, const auto&, httplib::Response& response) {
        out() << "a request is at work; press Ctrl-C" << std::endl;
        context::wait(ctx);
        std::this_thread::sleep_for(deaf);
        response.set_content("all that could be done", "text/plain");
    };
    TestServer server(root, handler);
    std::jthread client([&server] {
        const auto [response, err] = http_get(context::background(), server.url());
        out() << "the client gets: " << (err ? err->message() : response.body) << std::endl;
    });

    context::wait(root);
    // The second signal finds no thread waiting, and this one and those it starts not blocked.
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    const auto [period, drained] = context::with_timeout(context::background(), grace);
    context::after_func(period, [&period, number] {
        if (period.err() == context::errc::canceled) return;
        out() << "the grace period is over" << std::endl;
        end_by(number);
    });
    server.close();  // waits for the request
    client.join();
    drained();
    out() << "all is done" << std::endl;
    end_by(number);
}
