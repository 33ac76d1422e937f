// RFC 9112, 7.1: the size of a chunk is hexadecimal digits, and an extension begins with `;`.
#include <sys/socket.h>

#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

static const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

static bool is_taken(const std::string& chunks) {
    const ScriptedServer server([&chunks](Socket& client) { client.send(head + chunks); });
    return bool{httplib::Client("127.0.0.1", server.port()).Get("/")};
}

// bytes_taken is how much of an endless extension is read, up to 32 MB.
static std::size_t bytes_taken() {
    std::size_t taken = 0;
    {
        const ScriptedServer server([&taken](Socket& client) {
            client.send(head + "1;");
            const std::string extension(1000, 'x');
            while (taken < (32 << 20)) {
                const ssize_t sent =
                    ::send(client.fd(), extension.data(), extension.size(), MSG_NOSIGNAL);
                if (sent <= 0) return;
                taken += static_cast<std::size_t>(sent);
            }
        });
        (void)httplib::Client("127.0.0.1", server.port()).Get("/");
    }
    return taken;
}

int main() {
    return report({"`1 5` is taken for the size of a chunk", {0, 43, 4}},
                  is_taken("1 5\r\nx\r\n0\r\n\r\n")) |
           report({"`0z` is taken for the size of the last chunk", {0, 43, 4}},
                  is_taken("0z\r\n\r\n")) |
           report({"the extension of a chunk has no limit: 32 MB are taken",
                   {0, 20, 1},
                   {},
                   {0, 18, 7}},
                  bytes_taken() >= (32 << 20));
}
