// RFC 9110, 15.2: a client must be able to take interim answers before the final one.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send(
            "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return report({"103 Early Hints is taken for the final answer"},
                  !result || result->status != 200);
}
