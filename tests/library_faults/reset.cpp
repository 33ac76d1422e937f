// RFC 9112, 8: a body that only the connection ends is whole if that was closed, not if it was
// reset.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send("HTTP/1.1 200 OK\r\n\r\n01234");
        client.reset();
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return report(
        {"a reset ends a body without a length like a close", {0, 19, 0}, {0, 14, 3}, {0, 18, 7}},
        bool{result});
}
