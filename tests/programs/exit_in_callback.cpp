// Calls exit() in a callback on the timer thread, while main waits for ever.
#include "context.hpp"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <latch>

using namespace std::chrono_literals;

namespace {

struct Older {
    ~Older() { std::puts("statics destroyed"); }
};

Older older;
context::Cancellable before = context::with_cancel(context::background());
context::Cancellable timed = context::with_timeout(before.ctx, 1h);

}  // namespace

int main() {
    static std::optional<context::Cancellable> due;
    static std::optional<std::stop_callback<std::function<void()>>> on_done;
    static std::atomic<bool> too_late;  // to register the callback: main has called it
    static std::latch registered{1};
    const auto main_thread = std::this_thread::get_id();
    do {
        too_late = false;
        on_done.reset();
        due = context::with_timeout(before.ctx, 1ms);
        on_done.emplace(due->ctx.done(), [main_thread] {
            too_late = std::this_thread::get_id() == main_thread;
            if (too_late) return;
            registered.wait();
            std::puts("exit");
            std::exit(0);
        });
    } while (too_late);
    registered.count_down();
    context::wait(context::background());
    return 1;
}
