// The timer thread cannot be started, nor the helper thread of after_func: the call throws and
// leaves nothing behind, what needs neither works, and once threads can be had again so does the
// rest.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <limits>

#include "context.hpp"
#include "tests/counted.hpp"

using namespace std::chrono_literals;
using context::errc;

namespace {

const context::Key<Counted> counted{"counted"};

void check(bool ok, const char* what) {
    if (ok) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

// No address space holds a stack of this size; what glibc adds to it does not overflow.
constexpr std::size_t too_large = std::numeric_limits<std::size_t>::max() - (1 << 20);

void let_threads_start(bool yes) {
    static const std::size_t usual = [] {
        pthread_attr_t attr;
        std::size_t size = 0;
        check(pthread_getattr_default_np(&attr) == 0, "pthread_getattr_default_np");
        pthread_attr_getstacksize(&attr, &size);
        pthread_attr_destroy(&attr);
        return size;
    }();
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, yes ? usual : too_large);
    check(pthread_setattr_default_np(&attr) == 0, "pthread_setattr_default_np");
    pthread_attr_destroy(&attr);
}

std::size_t running_threads() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

template <class F>
bool throws_system_error(const F& f) {
    try {
        f();
    } catch (const std::system_error& e) {
        return e.code() == std::errc::resource_unavailable_try_again;
    }
    return false;
}

}  // namespace

int main() {
    let_threads_start(false);
    check(throws_system_error([] { std::thread([] {}).join(); }), "no thread can be started");
    const std::size_t threads = running_threads();

    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    for (int i = 0; i < 3; ++i) {
        const context::Context value = context::with_value(parent, counted, Counted{});
        check(throws_system_error([&] { (void)context::with_timeout(value, 1h); }), "with_timeout");
        check(throws_system_error([&] {
                  (void)context::with_deadline(value, std::chrono::steady_clock::now() + 1h);
              }),
              "with_deadline");
        check(throws_system_error([&] {
                  context::after_func(value, [held = Counted{}] { check(false, "it runs"); });
              }),
              "after_func");
        check(!parent.err(), "the parent lives on");
    }
    check(Counted::alive() == 0, "nothing is left behind");

    const auto [child, cancel_child] = context::with_cancel(parent);
    const auto [past, cancel_past] = context::with_timeout(parent, -1s);
    const auto [forever, cancel_forever] = context::with_timeout(parent, std::chrono::hours::max());
    check(past.err() == errc::deadline_exceeded, "a past deadline needs no timer");
    check(!child.err() && !forever.err(), "neither do no deadline and the last one");
    check(running_threads() == threads, "no thread has been started");

    let_threads_start(true);
    const auto [timed, cancel_timed] = context::with_timeout(child, 1ms);
    check(context::wait(timed) == errc::deadline_exceeded, "a deadline once there are threads");
    check(running_threads() > threads, "it has started the thread");
    check(!child.err(), "its parent lives on");
    std::promise<void> ran;
    context::after_func(timed, [&] { ran.set_value(); });
    ran.get_future().wait();

    let_threads_start(false);
    const auto [later, cancel_later] = context::with_timeout(child, 1ms);
    check(context::wait(later) == errc::deadline_exceeded, "one thread is enough");
    cancel_parent();
    check(forever.err() == errc::canceled && child.err() == errc::canceled, "the parent's cancel");
    std::puts("ok");
    return 0;
}
