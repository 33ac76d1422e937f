// RFC 9112, 8: a chunked body without its last chunk is incomplete.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r");
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return report({"a chunked body cut inside a line end is taken for whole", {0, 12, 2}},
                  bool{result});
}
