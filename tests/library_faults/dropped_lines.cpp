// RFC 9112, 2.2 and 5: a line that frames the answer counts, or the answer is refused.
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

// is_dropped returns whether an answer with `line` is a success without a header of that name.
static bool is_dropped(const std::string& name, const std::string& line) {
    const ScriptedServer server([&line](Socket& client) {
        client.send("HTTP/1.1 200 OK\r\n" + line + "X: y\r\n\r\n1\r\nz\r\n0\r\n\r\n");
    });
    const httplib::Result result = httplib::Client("127.0.0.1", server.port()).Get("/");
    return result && !result->has_header(name);
}

int main() {
    return report({"a Content-Length that ends in a bare LF is dropped", {0, 17, 1}},
                  is_dropped("Content-Length", "Content-Length: 3\n")) |
           report({"a Content-Length without a value is dropped", {0, 18, 1}},
                  is_dropped("Content-Length", "Content-Length:\r\n")) |
           report({"a folded Transfer-Encoding is dropped", {0, 17, 1}},
                  is_dropped("Transfer-Encoding", "Transfer-Encoding:\r\n chunked\r\n"));
}
