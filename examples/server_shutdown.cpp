// server_shutdown: Ctrl-C, or SIGTERM, ends a server in good order. The signal cancels the root of
// all contexts, so that the requests at work hear of it; the server then waits for them, but not
// longer than its grace period. A second signal ends the process at once.
//
// No signal handler may cancel: so the signals are blocked, and a thread waits for them. Go's name
// for it is signal.NotifyContext.
//
// Before: service_caller.cpp.
#include <pthread.h>

#include <csignal>
#include <iostream>
#include <latch>
#include <syncstream>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"
#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }
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

    int signal = 0;
    const auto [root, cancel] = context::with_cancel(context::background());
    std::jthread waits_for_signal([&, &cancel = cancel] {
        ::sigwait(&signals, &signal);
        cancel();
    });

    std::latch at_work(1);
    const auto handler = [&](const Context& ctx, const auto&, httplib::Response& response) {
        at_work.count_down();
        context::wait(ctx);
        std::this_thread::sleep_for(deaf);
        response.set_content("all that could be done", "text/plain");
    };
    TestServer server(handler, root);
    std::jthread client([&server] {
        const auto [response, err] = http_get(context::background(), server.url());
        out() << "the client gets: " << (err ? err->message() : response.body) << std::endl;
    });
    at_work.wait();
    out() << "a request is at work; press Ctrl-C" << std::endl;

    context::wait(root);
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // the second one finds no thread waiting
    out() << "signal " << signal << ": telling the request" << std::endl;
    const auto end_as_by_signal = [&] {
        std::signal(signal, SIG_DFL);
        std::raise(signal);  // so the shell that started this sees a signal, and 128 + its number
    };
    const auto [period, drained] = context::with_timeout(context::background(), grace);
    context::after_func(period, [&, &period = period] {
        if (period.err() == context::errc::canceled) return;
        out() << "the grace period is over" << std::endl;
        end_as_by_signal();
    });
    server.close();  // waits for the request
    client.join();
    drained();
    out() << "all is done" << std::endl;
    end_as_by_signal();
}
