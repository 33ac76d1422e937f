// How soon http_get returns once its context is cancelled: bench/go/http does the same in Go.
// Beside it the bound of the system: how soon poll() returns on a connection that is shut down.
// Takes the URL of a server that holds its answers.

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "net/http_get.hpp"

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using microseconds = std::chrono::duration<double, std::micro>;

// measure has `count` threads make a call that blocks, aborts all calls at once, and returns how
// long after that each of them returned, in order. No thread ends before all have returned, so that
// what its end costs is not in the time of the others.
template <class Call, class Abort>
static std::vector<double> measure(std::size_t count, clock_type::duration blocked_after, Call call,
                                   const Abort& abort) {
    std::vector<clock_type::time_point> returned(count);
    std::mutex mutex;
    std::condition_variable all_returned;
    std::size_t still_out = count;
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            if (call(i)) returned[i] = clock_type::now();
            std::unique_lock lock(mutex);
            if (--still_out == 0) all_returned.notify_all();
            all_returned.wait(lock, [&] { return still_out == 0; });
        });
    }
    std::this_thread::sleep_for(blocked_after);
    const auto start = clock_type::now();
    abort();
    threads.clear();
    std::vector<double> took;
    for (const auto at : returned) took.push_back(microseconds(at - start).count());
    std::ranges::sort(took);
    return took;
}

// Requests that wait for an answer, cancelled with one call.
struct Requests {
    std::vector<double> operator()(std::size_t count, clock_type::duration in_flight_after) const {
        auto [ctx, cancel] = context::with_cancel(context::background());
        return measure(
            count, in_flight_after, [&](std::size_t) { return !!http_get(ctx, url).error; },
            cancel);
    }
    const char* url;
};

// Connections to the same server on which threads wait in poll(), shut down one after the other.
struct Polls {
    std::vector<double> operator()(std::size_t count, clock_type::duration blocked_after) const {
        std::vector<int> fds;
        while (fds.size() < count) {
            fds.push_back(::socket(AF_INET, SOCK_STREAM, 0));
            if (::connect(fds.back(), reinterpret_cast<const sockaddr*>(&server), sizeof server) <
                0) {
                std::perror("connect");
                std::exit(1);
            }
        }
        const auto poll = [&](std::size_t i) {
            pollfd readable{fds[i], POLLIN, 0};
            return ::poll(&readable, 1, -1) == 1;
        };
        const auto took = measure(count, blocked_after, poll, [&] {
            for (const int fd : fds) ::shutdown(fd, SHUT_RD);
        });
        for (const int fd : fds) ::close(fd);
        return took;
    }
    const sockaddr_in server;
};

template <class Calls>
static void report(const char* name, const Calls& calls) {
    std::vector<double> single;
    for (int i = 0; i < 1000; ++i) single.push_back(calls(1, 2ms).front());
    std::ranges::sort(single);
    std::printf("%s/cancel_to_return/p50 %.0f ns\n", name, single[499] * 1e3);
    std::printf("%s/cancel_to_return/p99 %.0f ns\n", name, single[989] * 1e3);

    std::vector<double> last_of_1000;
    for (int i = 0; i < 5; ++i) last_of_1000.push_back(calls(1000, 500ms).back());
    std::ranges::sort(last_of_1000);
    std::printf("%s/1000_in_flight/all_returned %.0f ns\n", name, last_of_1000[2] * 1e3);
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    std::signal(SIGPIPE, SIG_IGN);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);

    const std::string_view url = argv[1];
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons(static_cast<in_port_t>(std::atoi(&url[url.rfind(':') + 1])));
    report("HTTP", Requests{argv[1]});
    report("System", Polls{server});
}
