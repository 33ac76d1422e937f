// Descriptors run out. http_get returns an error and a TestServer that starts throws; one that runs
// answers as soon as there are descriptors again, and closes without.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

namespace {

void check(bool ok, const char* what) {
    if (ok) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

// Exhausted leaves no more than `count` descriptors as long as it lives.
class Exhausted {
public:
    explicit Exhausted(int count = 0) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        while (fds_.size() < 8) fds_.emplace_back(::dup(STDIN_FILENO));
        const rlimit now{static_cast<rlim_t>(fds_.back().fd()) + 1, before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &now);
        for (; count > 0; --count) fds_.pop_back();
    }
    ~Exhausted() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
    std::vector<Socket> fds_;
};

void answer(const context::Context&, const httplib::Request&, httplib::Response& response) {
    response.set_content("ok", "text/plain");
}

void request() {
    const Listener listener;
    const pid_t server = ::fork();
    if (server == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            const Socket client = listener.accept();
            client.read_until("\r\n\r\n");
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
    const int descriptors = open_descriptors();
    constexpr std::array reasons = {"could not make a socket: Too many open files",
                                    "could not watch the socket: Too many open files", ""};
    std::size_t failures = 0;
    for (bool succeeded = false; !succeeded; ++failures) {
        {
            const Exhausted exhausted(static_cast<int>(failures));
            const auto [response, error] = http_get(context::background(), listener.url());
            succeeded = response.body == "ok";
            check(succeeded || error, "an error or a success");
            check(succeeded || error->reason == reasons[failures], "the reason");
        }
        check(open_descriptors() == descriptors, "descriptors after a request");
    }
    check(failures == 3, "a request needs two descriptors");
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
}

void start() {
    const int descriptors = open_descriptors();
    {
        const Exhausted exhausted;
        try {
            const TestServer server(context::background(), answer);
            check(false, "a server without a descriptor");
        } catch (const std::system_error& error) {
            check(error.code() == std::errc::too_many_files_open, "why a server did not start");
        }
    }
    check(open_descriptors() == descriptors, "descriptors after a start");
}

// An accept that waits has its descriptor already: so one client may be served.
void accept(bool close_meanwhile) {
    const auto [held, let_go] = context::with_cancel(context::background());
    std::atomic<int> at_work = 0;
    TestServer server(
        held, [&at_work](const context::Context& ctx, const auto&, httplib::Response& response) {
            ++at_work;
            context::wait(ctx);
            response.set_content("ok", "text/plain");
        });
    const int port = std::stoi(server.url().substr(server.url().rfind(':') + 1));
    std::array<Socket, 3> clients;
    for (Socket& client : clients) client = Socket(::socket(AF_INET, SOCK_STREAM, 0));
    {
        const Exhausted exhausted;
        for (const Socket& client : clients) {
            check(connects(client, port), "the kernel connects");
            client.send("GET / HTTP/1.1\r\n\r\n");
        }
        ::poll(nullptr, 0, 20);
        check(at_work <= 1, "no request is taken without a descriptor");
        if (close_meanwhile) server.close();
    }
    if (close_meanwhile) return;
    check(wait_for([&] { return at_work == 3; }), "all are taken once there are descriptors");
    let_go();
    for (const Socket& client : clients) {
        check(client.read_until("ok").ends_with("ok"), "all are answered");
    }
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    request();
    start();
    accept(false);
    accept(true);
    std::puts("ok");
}
