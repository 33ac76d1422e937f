// sleeping_handler: the obvious way to sleep in a handler is std::this_thread::sleep_for. The
// client's call is aborted at once, and with it the handler's context is done. But nothing can wake
// that sleep, and a server that closes waits for its handlers: so the process takes the whole delay
// to end. The Go original ends as late, for the same reason.
//
// The handler of slow_server, in servers.cpp, sleeps on its context.
#include <httplib.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <latch>
#include <thread>

#include "net/test_server.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

int main() {
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
                                    std::this_thread::sleep_for(2s);
                                    response.set_content("Slow response", "text/plain");
                                });
        httplib::Client client(server.url());
        std::jthread getter([&client] { (void)client.Get("/"); });
        at_work.wait();
        client.stop();
        getter.join();
        report("the client is stopped, its Get() has returned");
    }  // closes the server
    report("the server is closed, the process can end");
}
