// half_a_body: the obvious thing after a stop is to ask the library how the request ended. A body
// without a declared length ends where its connection ends, and a socket that is shut down reads as
// just that. So the library reports success, and half the body passes for the whole.
//
// net/http_get.cpp asks ctx.err() first, the library second. Once the context is done, the call has
// the error of the context, whatever the library says.
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
    std::latch has_half(1), returned(1);
    const auto send = [&returned](std::size_t offset, httplib::DataSink& sink) {
        if (offset == 0) return sink.write(first_half.data(), first_half.size());
        returned.wait();  // what is sent between the stop and the return could still arrive
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
    });
    std::string body;
    const httplib::Result result = client.Get("/", [&](const char* data, std::size_t size) {
        body.append(data, size);
        if (body.size() == first_half.size()) has_half.count_down();
        return true;
    });
    returned.count_down();
    std::cout << "the server's text: " << first_half << second_half << std::endl;
    if (result) {
        std::cout << "Get() reports success: " << body << std::endl;
    } else {
        std::cout << "this version of cpp-httplib does not show it: Get() reports "
                  << to_string(result.error()) << std::endl;
    }
}
