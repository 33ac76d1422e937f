// A static that is older than the timer thread waits for a deadline in its destructor, when that
// thread has been joined. It then cancels and joins a thread that waits for the token.
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;

namespace {

struct Older {
    context::Cancellable limit;
    std::jthread worker;

    ~Older() {
        (void)context::wait(limit.ctx);
        limit.cancel();
        worker.join();
        std::puts("joined");
    }
};
Older older;

}  // namespace

int main() {
    const auto starts_the_timer_thread = context::with_timeout(context::background(), 1h);
    const auto [ctx, cancel] = context::with_cancel(context::background());
    // The deadline is still to come when the timer thread is stopped.
    static struct Younger {
        ~Younger() {
            older.limit = context::with_timeout(context::background(), 50ms);
            older.worker = std::jthread([] {
                std::mutex mutex;
                std::unique_lock lock(mutex);
                std::condition_variable_any wake;
                wake.wait(lock, older.limit.ctx.done(), [] { return false; });
            });
        }
    } younger;
}
