// RFC 9112, 7.1.2: header fields may follow the last chunk of a body.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\n01234\r\n0\r\nDigest: abc\r\n\r\n");
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return report({"a chunked body with trailers is an error", {0, 12, 2}}, !result);
}
