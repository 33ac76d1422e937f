// stop_before_get: the obvious way to stop a request is httplib::Client::stop(). A stop that comes
// just before Get() is lost: it finds no socket that it could shut down, and nothing remembers that
// it was called. Get() then opens a socket, and the request runs to its end. The thread that stops
// cannot know that it was too early.
//
// net/http_get.cpp hands the stop to net/socket_stop.hpp, which remembers it and applies it to each
// socket that comes later.
#include <httplib.h>

#include <csignal>
#include <iostream>

#include "net/test_server.hpp"

int main() {
    std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, as in Go
    const TestServer server(context::background(),
                            [](const auto&, const auto&, httplib::Response& response) {
                                std::cout << "the server works for nobody" << std::endl;
                                response.set_content("the whole answer", "text/plain");
                            });
    httplib::Client client(server.url());

    client.stop();  // as another thread might, a moment too early
    std::cout << "stop() has returned" << std::endl;
    const httplib::Result result = client.Get("/");
    if (result) {
        std::cout << "Get() reports success: " << result->body << std::endl;
    } else {
        std::cout << "this version of cpp-httplib does not show it: Get() reports "
                  << to_string(result.error()) << std::endl;
    }
}
