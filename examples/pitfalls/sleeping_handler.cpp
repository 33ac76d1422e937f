// sleeping_handler: a handler that takes its time sleeps with std::this_thread::sleep_for, the
// obvious way. The client is cancelled at once, and with it the handler's context. But nothing can
// wake that sleep, and a server that closes waits for its handlers: the process takes the whole
// delay to end. The Go original ends as late, for the same reason.
//
// The handler of slow_server, in servers.cpp, sleeps on its context.
#include <httplib.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <latch>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

int main(int argc, char** argv) {
    std::chrono::nanoseconds delay = 2s;
    CLI::App app("A server that cannot close, because a handler sleeps.", "sleeping_handler");
    add_duration(app, "--delay", delay, "how long the handler sleeps [2s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, as in Go
    std::latch at_work(1);
    const auto start = steady_clock::now();
    const auto report = [start](const char* what) {
        std::cout << "after " << (steady_clock::now() - start) / 1ms << " ms: " << what
                  << std::endl;
    };
    {
        const TestServer server(context::background(),
                                [&](const auto&, const auto&, httplib::Response& response) {
                                    at_work.count_down();
                                    std::this_thread::sleep_for(delay);
                                    response.set_content("Slow response", "text/plain");
                                });
        httplib::Client client(server.url());
        std::jthread getter([&client] { (void)client.Get("/"); });
        at_work.wait();
        client.stop();
        getter.join();
        report("the client is cancelled, its Get() has returned");
    }  // closes the server
    report("the server is closed, the process can end");
}
