// lazy_server: a request to a server that is quick or slow by chance, given up when it takes too
// long. The timeout closes the connection: nothing of the request is left on the client's side.
//
// The server does not hear of it: its handler sleeps on until the program ends.
//
// Before: first.cpp. Next: middleware.cpp looks at the contexts of a server.
#include <csignal>
#include <iostream>
#include <random>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"
#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static TestServer lazy_server(bool quick, context::duration delay) {
    return TestServer(context::background(), [=](const Context& ctx, const httplib::Request&,
                                                 httplib::Response& response) {
        if (!quick && context::sleep_for(ctx, delay)) return;
        response.set_content(quick ? "Go! quick 1" : "Go! slow 0", "text/plain");
    });
}

static void work(const Context& ctx, const std::string& url) {
    const auto [response, err] = http_get(ctx, url);
    std::cout << "Doing http request is a hard job" << std::endl;
    if (!err) {
        std::cout << "Server Response: " << response.body << std::endl;
    } else if (ctx.err()) {
        std::cout << "Cancel the context" << std::endl;
    } else {
        std::cout << "Error  " << err->message() << std::endl;
    }
}

int main(int argc, char** argv) {
    unsigned seed = std::random_device()();
    context::duration delay = 6s, timeout = 2s;
    CLI::App app("A request that is given up if the server is slow.", "lazy_server");
    app.add_option("--seed", seed, "of the chance: 1 makes the server quick, 2 slow [random]");
    add_duration(app, "--delay", delay, "how long the server takes when it is slow [6s]");
    add_duration(app, "--timeout", timeout, "how long the client waits [2s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, as in Go
    const bool quick = std::mt19937(seed)() % 2 == 1;
    const TestServer server = lazy_server(quick, delay);
    const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
    std::cout << "Hey, I'm going to do some work" << std::endl;
    {
        std::jthread worker([&ctx, &server] { work(ctx, server.url()); });
    }  // waits for the worker
    std::cout << "Finished. I'm going home" << std::endl;
}
