// server_shutdown: Ctrl-C or SIGTERM ends a server in good order. The signal cancels the root of
// all contexts. The server then waits for its requests, but not longer than a grace period. A
// second signal ends the process at once. (In Go: signal.NotifyContext.)
//
// A signal handler must not call cancel(). So the signals are blocked, and a thread waits for them.
// Block them before the first thread starts, because each thread inherits the mask. An exec'd
// program inherits it, too: unblock the signals between fork and exec, or Ctrl-C cannot end that
// program.
#include <csignal>
#include <cstring>
#include <iostream>
#include <syncstream>
#include <system_error>
#include <thread>

#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

// SignalCategory makes a cause of a signal: the value is its number, the message its description.
class SignalCategory : public std::error_category {
public:
    const char* name() const noexcept override { return "signal"; }
    std::string message(int number) const override { return ::strsignal(number); }
};
static const SignalCategory signal_category;

// end_by ends the process as the signal would have: the shell that started it sees 128 + number.
static void end_by(int number, const sigset_t& blocked) {
    ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    std::raise(number);
}

// handle works until its context is done, and then needs 4 s to finish.
static void handle(const Context& ctx, const httplib::Request&, httplib::Response& response) {
    out() << "a request is at work; press Ctrl-C" << std::endl;
    context::wait(ctx);
    out() << "its context is done: " << context::cause(ctx).message() << std::endl;
    std::this_thread::sleep_for(4s);
    response.set_content("all that could be done", "text/plain");
}

int main() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const auto [root, cancel] = context::with_cancel(context::background());
    std::jthread waits_for_signal([&signals, &cancel] {
        int number = 0;
        ::sigwait(&signals, &number);
        cancel({number, signal_category});
    });

    TestServer server(root, handle);
    std::jthread client([&server] {
        const auto [response, err] = http_get(context::background(), server.url());
        out() << "the client gets: " << (err ? err->message() : response.body) << std::endl;
    });

    context::wait(root);
    const int number = context::cause(root).value();
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second signal ends the process
    // Ctrl-C comes from a person who waits; SIGTERM comes from a service manager, which can wait.
    const auto grace = number == SIGINT ? 2s : 30s;
    const auto [period, drained] = context::with_timeout(context::background(), grace);
    context::after_func(period, [&period, &signals, number] {
        if (period.err() == context::errc::canceled) return;
        out() << "the grace period is over" << std::endl;
        end_by(number, signals);
    });
    server.close();  // waits for the request
    client.join();
    drained();
    out() << "all is done" << std::endl;
    end_by(number, signals);
}
