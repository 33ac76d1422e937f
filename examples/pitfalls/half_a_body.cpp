// half_a_body: after a stop, the obvious thing is to ask the library how the request ended. If it
// was cut off in the middle of a body that declared no length, the library reports success: such a
// body ends where its connection ends, and a socket that is shut down reads as just that. Half the
// body passes for the whole.
//
// net/http_get.cpp asks ctx.err() first, the library second: a cancelled call has the error of its
// context, whatever the library says.
#include <httplib.h>

#include <csignal>
#include <iostream>
#include <latch>
#include <string>
#include <thread>

#include "net/test_server.hpp"

static const std::string first_half = "half a loaf";
static const std::string second_half = " is better than none";

int main() {
    std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, as in Go
    std::latch has_half(1), stopped(1);
    const auto send = [&stopped](std::size_t offset, httplib::DataSink& sink) {
        if (offset == 0) return sink.write(first_half.data(), first_half.size());
        stopped.wait();
        sink.write(second_half.data(), second_half.size());
        sink.done();
        return true;
    };
    const TestServer server(context::background(),
                            [&send](const auto&, const auto&, httplib::Response& response) {
                                response.set_content_provider("text/plain", send);  // and no length
                            });

    httplib::Client client(server.url());
    std::jthread canceller([&] {
        has_half.wait();
        client.stop();
        stopped.count_down();
    });
    std::string body;
    const httplib::Result result = client.Get("/", [&](const char* data, std::size_t size) {
        body.append(data, size);
        if (body.size() == first_half.size()) has_half.count_down();
        return true;
    });
    std::cout << "the server's text: " << first_half << second_half << std::endl;
    if (result) {
        std::cout << "Get() reports success: " << body << std::endl;
    } else {
        std::cout << "this version of cpp-httplib does not show it: Get() reports "
                  << to_string(result.error()) << std::endl;
    }
}
