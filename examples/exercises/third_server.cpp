// third_server, exercise 1. Two servers are called at once, and an answer of "error" aborts the
// other call. Add a third server, "medium", that answers after 2 s, and call it together with the
// other two. An error of the fast server must abort this call, too, and an error of the medium
// server must abort the call of the slow one. First the fast server fails, then the medium one.
//
// It should print what stands in third_server.txt; the aborted calls may come in any order.
//
// Hint: call_both in client.cpp. Which context do the calls share, and which thread cancels it?
#include <iostream>
#include <syncstream>
#include <thread>

#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

static TestServer server(context::duration delay, bool fails) {
    return TestServer(context::background(),
                      [=](const Context& ctx, const auto&, httplib::Response& response) {
                          const std::error_code aborted = context::sleep_for(ctx, delay);
                          if (aborted) return;
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

// EDIT HERE: a third call.
static void call_all(const Context& parent, const std::string& fast, const std::string& slow) {
    const auto [ctx, cancel] = context::with_cancel(parent);
    {
        std::jthread calls_slow([&] {
            if (!call_server(ctx, "slow", slow)) cancel();
        });
        std::jthread calls_fast([&] {
            if (!call_server(ctx, "fast", fast)) cancel();
        });
    }  // waits for the threads
    out() << "done with all" << std::endl;
}

int main() {
    for (const std::string failing : {"fast", "medium"}) {
        // EDIT HERE: a third server.
        const TestServer fast = server(0s, failing == "fast");
        const TestServer slow = server(6s, failing == "slow");
        call_all(context::background(), fast.url(), slow.url());
    }
}
