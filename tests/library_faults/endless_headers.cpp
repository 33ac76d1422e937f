// A server that never ends its headers: a client without a limit keeps them all.
#include <sys/socket.h>

#include <csignal>

#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    constexpr std::size_t enough = 32 << 20;  // far beyond what the kernel holds for the client
    std::size_t taken = 0;
    {
        const ScriptedServer server([&taken](Socket& client) {
            client.send("HTTP/1.1 200 OK\r\n");
            const std::string header = "X-Header: " + std::string(1000, 'x') + "\r\n";
            while (taken < enough) {
                const ssize_t sent =
                    ::send(client.fd(), header.data(), header.size(), MSG_NOSIGNAL);
                if (sent <= 0) return;
                taken += static_cast<std::size_t>(sent);
            }
        });
        (void)httplib::Client("127.0.0.1", server.port()).Get("/");
    }
    return report({"response headers have no limit: 32 MB are taken", {0, 22, 0}, {}, {0, 18, 7}},
                  taken >= enough);
}
