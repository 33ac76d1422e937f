// A long reason phrase: std::regex, which recurses for each character, overflows the stack.
#include <sys/wait.h>
#include <unistd.h>

#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    const ScriptedServer server([](Socket& client) {
        client.send("HTTP/1.1 200 " + std::string(200'000, 'x') + "\r\nContent-Length: 0\r\n\r\n");
    });
    const pid_t child = ::fork();
    if (child == 0) {
        (void)httplib::Client("127.0.0.1", server.port()).Get("/");
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return report({"a reason phrase of 200 KB overflows the stack", {0, 20, 1}, {}, {0, 18, 7}},
                  !WIFEXITED(status) || WEXITSTATUS(status) != 0);
}
