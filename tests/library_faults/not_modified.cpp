// RFC 9110, 8.6: a 304 may declare the length that a 200 would have; it has no body.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n");
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return report({"a 304 that declares a length is taken for cut off", {0, 18, 3}}, !result);
}
