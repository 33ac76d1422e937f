// Ends while a function of after_func waits for a deadline, as a graceful shutdown with a limit
// does: the exit lets it come. The timer thread has started after the helper thread.
#include <pthread.h>

#include <condition_variable>
#include <cstdio>
#include <latch>
#include <mutex>

#include "context.hpp"
#include "tests/replaced_function.hpp"

using namespace std::chrono_literals;

namespace {

// These are never destroyed, so that the function may still use them.
std::latch& entered = *new std::latch(1);
std::latch& joining = *new std::latch(1);

}  // namespace

// The exit has come to where it waits for a hidden thread.
REPLACES(pthread_join)
extern "C" int pthread_join(pthread_t thread, void** result) {
    static std::once_flag once;
    std::call_once(once, [] { joining.count_down(); });
    return replaced_pthread_join()(thread, result);
}

int main() {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    context::after_func(ctx, [] {
        const auto early = context::with_timeout(context::background(), 1h);
        entered.count_down();
        joining.wait();
        const auto [limit, cancel_limit] = context::with_timeout(context::background(), 1ms);
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any().wait(lock, limit.done(), [] { return false; });
        std::puts("the deadline has come");
    });
    cancel();
    entered.wait();
    return 0;
}
