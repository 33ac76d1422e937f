// A thousand requests in flight at once are ended by one cancel, and nothing of them is left.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "net/http_get.hpp"
#include "tests/loopback.hpp"

namespace {

// hold takes every request and answers none. It writes a byte to `told` when it holds `count`, and
// runs until it is killed.
void hold(const Listener& listener, int told, int count) {
    const int events = ::epoll_create1(0);
    const auto watch = [events](int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener.fd());
    int held = 0;
    for (;;) {
        epoll_event event{};
        if (::epoll_wait(events, &event, 1, -1) != 1) continue;
        std::array<char, 4096> request;
        if (event.data.fd == listener.fd()) {
            watch(listener.accept().release());
        } else if (::recv(event.data.fd, request.data(), request.size(), 0) <= 0) {
            ::close(event.data.fd);
        } else if (++held == count && ::write(told, "", 1) != 1) {
            ::_exit(1);
        }
    }
}

// HoldingServer is a process of its own, so that its descriptors are not among ours.
class HoldingServer {
public:
    explicit HoldingServer(int count) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) < 0) throw std::runtime_error("pipe2");
        Listener listener(4096);
        url_ = listener.url();
        child_ = ::fork();
        if (child_ < 0) throw std::runtime_error("fork");
        if (child_ == 0) hold(listener, ends[1], count);
        ::close(ends[1]);
        told_ = Socket(ends[0]);
    }
    ~HoldingServer() {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }
    const std::string& url() const { return url_; }
    bool holds_all() const {
        pollfd told{told_.fd(), POLLIN, 0};
        return ::poll(&told, 1, 0) == 1 && (told.revents & POLLIN) != 0;
    }

private:
    std::string url_;
    pid_t child_ = -1;
    Socket told_;
};

struct Usage {
    long kilobytes;  // resident
    int descriptors;
    int threads;
};

Usage usage(const char* when) {
    long kilobytes = 0;
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == "VmRSS:") status >> kilobytes;
    }
    status.close();
    const Usage now{kilobytes, open_descriptors(), running_threads()};
    std::printf("%-7s %7ld kB, %5d descriptors, %5d threads\n", when, now.kilobytes,
                now.descriptors, now.threads);
    return now;
}

}  // namespace

int main(int argc, char** argv) {
    int requests = 1000;
    CLI::App app("Cancels requests that are in flight at once, all by one call.", "http_load");
    app.add_option("--requests", requests, "how many [1000]")->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);

    const HoldingServer server(requests);
    std::jthread([] {}).join();  // the sanitizer for threads starts one of its own with the first
    const Usage before = usage("before:");
    std::atomic<int> cancelled = 0;
    std::atomic<int> others = 0;
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::vector<std::jthread> threads;
    try {
        for (int i = 0; i < requests; ++i) {
            threads.emplace_back([&, &shared = ctx] {
                const HttpResult result = http_get(shared, server.url());
                const bool ended = result.error && result.error->reason == "context canceled";
                if (ended) {
                    ++cancelled;
                } else if (++others == 1) {
                    const std::string got = result.error ? result.error->message() : "an answer";
                    std::fprintf(stderr, "http_load: %s\n", got.c_str());
                }
            });
        }
    } catch (const std::system_error& error) {
        std::fprintf(stderr, "http_load: %s\n", error.what());
        cancel();
        return 1;
    }
    wait_for([&] { return server.holds_all() || others > 0; });
    const bool all_in_flight = server.holds_all();
    usage("peak:");
    cancel();
    threads.clear();
    const bool ended = wait_for([&] { return running_threads() == before.threads; });
    const Usage after = usage("after:");
    std::printf("%d requests: %d cancelled, %d otherwise\n", requests, cancelled.load(),
                others.load());
    return all_in_flight && ended && after.descriptors == before.descriptors &&
                   cancelled == requests
               ? 0
               : 1;
}
