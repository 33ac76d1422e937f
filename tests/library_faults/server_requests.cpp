// What a server answers to requests that are valid, but not usual.
#include <sys/socket.h>

#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

// answer_to is the status line for `request`, which a client sends before it closes its half of the
// connection, or does not.
static std::string answer_to(const std::string& request, bool half_close) {
    httplib::Server server;
    server.Get(".*", [](const auto&, httplib::Response& response) {
        response.set_content("ok", "text/plain");
    });
    server.Post(".*", [](const auto&, httplib::Response& response) {
        response.set_content("ok", "text/plain");
    });
    const int port = server.bind_to_any_port("127.0.0.1");
    std::jthread thread([&server] { server.listen_after_bind(); });
    const Socket client = connect_to(port);
    client.send(request);
    if (half_close) ::shutdown(client.fd(), SHUT_WR);
    const std::string status = client.read_until("\r\n");
    server.stop();
    return status;
}

int main() {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::string end = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    return report({"a POST without a length is refused", {0, 28, 0}, {}, {0, 18, 7}},
                  answer_to("POST /" + end, false) != ok) |
           report({"a query with a second `?` is refused", {0, 16, 0}},
                  answer_to("GET /?a?b" + end, false) != ok) |
           report(
               {"a client that has closed its half after the request is not answered", {0, 34, 0}},
               answer_to("GET /" + end, true) != ok);
}
