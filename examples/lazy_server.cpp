// lazy_server: a request is aborted when the server takes too long. The timeout resets the
// connection, so nothing of the request is left on the client's side.
//
// In the original a coin decides whether the server is slow; here it is quick and slow by turns.
#include <atomic>
#include <iostream>
#include <thread>

#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;

static TestServer lazy_server() {
    const auto answer = [](const Context& ctx, const httplib::Request&,
                           httplib::Response& response) {
        static std::atomic<int> requests = 0;
        const bool slow = ++requests % 2 == 0;
        if (slow) {
            const std::error_code aborted = context::sleep_for(ctx, 6s);
            if (aborted) return;  // nobody waits for the answer any more
        }
        response.set_content(slow ? "Go! slow 0" : "Go! quick 1", "text/plain");
    };
    return TestServer(context::background(), answer);
}

static void work(const Context& ctx, const std::string& url) {
    const auto [response, err] = http_get(ctx, url);
    std::cout << "Doing http request is a hard job" << std::endl;
    if (!err) {
        std::cout << "Server Response: " << response.body << std::endl;
    } else if (err->aborted) {
        std::cout << "Cancel the context" << std::endl;
    } else {
        std::cout << "Error  " << err->message() << std::endl;
    }
}

int main() {
    const TestServer server = lazy_server();
    for (int i = 0; i < 2; ++i) {
        const auto [ctx, cancel] = context::with_timeout(context::background(), 2s);
        std::cout << "Hey, I'm going to do some work" << std::endl;
        {
            std::jthread worker(work, ctx, server.url());
        }  // waits for the worker
        std::cout << "Finished. I'm going home" << std::endl;
    }
}
