// RFC 9112, 2.2: a reader may take a bare LF for the end of a line.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server(
        [](Socket& client) { client.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"); });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return report({"an answer whose lines end in LF alone cannot be read"},
                  !result || result->body != "ok");
}
