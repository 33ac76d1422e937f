// RFC 9110, 5.5: a header's value stands for itself.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send("HTTP/1.1 200 OK\r\nX-Path: a%2Fb\r\nContent-Length: 0\r\n\r\n");
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    const bool present = !result || result->get_header_value("X-Path") != "a%2Fb";
    return report({"the value of a response header is percent-decoded", {0, 44, 0}}, present);
}
