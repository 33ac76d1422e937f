// How soon http_get returns once its context is cancelled: bench/go/http does the same in Go. Takes
// the URL of a server that holds its answers.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "net/http_get.hpp"

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using microseconds = std::chrono::duration<double, std::micro>;

// cancelled_requests has `count` requests wait for the answer, cancels them with one call and
// returns how long after the call each of them returned, in order. No thread ends before all have
// returned, so that what its end costs is not in the time of the others.
static std::vector<double> cancelled_requests(const char* url, std::size_t count,
                                              clock_type::duration in_flight_after) {
    auto [ctx, cancel] = context::with_cancel(context::background());
    std::vector<clock_type::time_point> returned(count);
    std::mutex mutex;
    std::condition_variable all_returned;
    std::size_t still_out = count;
    std::vector<std::jthread> threads;
    for (clock_type::time_point& at : returned) {
        threads.emplace_back([&, url] {
            if (http_get(ctx, url).error) at = clock_type::now();
            std::unique_lock lock(mutex);
            if (--still_out == 0) all_returned.notify_all();
            all_returned.wait(lock, [&] { return still_out == 0; });
        });
    }
    std::this_thread::sleep_for(in_flight_after);
    const auto start = clock_type::now();
    cancel();
    threads.clear();
    std::vector<double> took;
    for (const auto at : returned) took.push_back(microseconds(at - start).count());
    std::ranges::sort(took);
    return took;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    std::signal(SIGPIPE, SIG_IGN);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);

    std::vector<double> single;
    for (int i = 0; i < 1000; ++i) single.push_back(cancelled_requests(argv[1], 1, 2ms).front());
    std::ranges::sort(single);
    std::printf("HTTP/cancel_to_return/p50 %.0f ns\n", single[499] * 1e3);
    std::printf("HTTP/cancel_to_return/p99 %.0f ns\n", single[989] * 1e3);

    std::vector<double> last_of_1000;
    for (int i = 0; i < 5; ++i) {
        last_of_1000.push_back(cancelled_requests(argv[1], 1000, 500ms).back());
    }
    std::ranges::sort(last_of_1000);
    std::printf("HTTP/1000_in_flight/all_returned %.0f ns\n", last_of_1000[2] * 1e3);
}
