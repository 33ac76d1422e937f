// RFC 9110, 5.3: the order of headers of one name has a meaning.
#include <future>

#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    std::promise<std::string> request;
    const Listener listener;
    std::jthread server([&] {
        const Socket client = listener.accept();
        request.set_value(client.read_until("\r\n\r\n"));
        client.send("HTTP/1.1 200 OK\r\nX: 1\r\nX: 2\r\nX: 3\r\nContent-Length: 0\r\n\r\n");
    });
    const httplib::Headers headers = {{"X", "1"}, {"X", "2"}, {"X", "3"}};
    const httplib::Result result = httplib::Client("127.0.0.1", listener.port()).Get("/", headers);
    std::string sent;
    const std::string head = request.get_future().get();
    for (std::size_t at = 0; (at = head.find("\r\nX: ", at)) != std::string::npos;) {
        sent += head[at += 5];
    }
    std::string received;
    for (const auto& [name, value] : result->headers) {
        if (name == "X") received += value;
    }
    return report({"headers of one name are sent in another order", {0, 52, 0}, {0, 17, 2}},
                  sent != "123") |
           report({"headers of one name are received in another order", {0, 52, 0}, {0, 17, 2}},
                  received != "123");
}
