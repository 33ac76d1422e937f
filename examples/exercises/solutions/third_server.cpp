// third_server: all calls share one context, and each cancels it when it fails. So a further call
// costs a thread and no more: who ends whom is nowhere written down, and nothing has to be told
// about the new one.
#include <csignal>
#include <iostream>
#include <syncstream>
#include <thread>

#include "flag/command_line.hpp"
#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

static TestServer server(context::duration delay, bool fails) {
    return TestServer(context::background(),
                      [=](const Context& ctx, const auto&, httplib::Response& response) {
                          if (context::sleep_for(ctx, delay)) return;
                          response.set_content(fails ? "error" : "ok", "text/plain");
                      });
}

// call_server returns whether the server could be called, and did not answer "error".
static bool call_server(const Context& ctx, const std::string& name, const std::string& url) {
    const auto [response, err] = http_get(ctx, url);
    if (err) {
        out() << name << ' ' << to_string(err->phase) << " err: " << err->message() << std::endl;
        return false;
    }
    out() << name << " result: " << response.body << std::endl;
    if (response.body != "error") return true;
    out() << "cancelling from " << name << std::endl;
    return false;
}

static void call_all(const Context& parent, const std::string& fast, const std::string& medium,
                     const std::string& slow) {
    const auto [ctx, cancel] = context::with_cancel(parent);
    {
        std::jthread calls_slow([&] {
            if (!call_server(ctx, "slow", slow)) cancel();
        });
        std::jthread calls_medium([&] {
            if (!call_server(ctx, "medium", medium)) cancel();
        });
        std::jthread calls_fast([&] {
            if (!call_server(ctx, "fast", fast)) cancel();
        });
    }  // waits for the threads
    out() << "done with all" << std::endl;
}

int main(int argc, char** argv) {
    std::string failing = "none";
    CLI::App app("Whichever server fails ends the calls of the others.", "third_server");
    app.add_option("FAILING", failing, "which server is to fail [none]")
        ->check(CLI::IsMember({"fast", "medium", "slow", "none"}));
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::signal(SIGPIPE, SIG_IGN);
    const TestServer fast = server(0s, failing == "fast");
    const TestServer medium = server(2s, failing == "medium");
    const TestServer slow = server(6s, failing == "slow");
    call_all(context::background(), fast.url(), medium.url(), slow.url());
}
