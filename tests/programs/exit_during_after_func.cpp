// Ends while the helper thread of after_func runs one function and another one waits: the exit
// waits for the first, so that it may use what is older than the helper thread, and drops the
// second.
#include <pthread.h>

#include <cstdio>
#include <latch>

#include "context.hpp"
#include "tests/replaced_function.hpp"

namespace {

// These are never destroyed, so that the functions may still use them.
std::latch& entered = *new std::latch(1);
std::latch& joining = *new std::latch(1);
std::atomic<bool> finished = false;
std::atomic<bool> second_has_run = false;

struct Older {
    ~Older() {
        std::puts(finished ? "the first has finished" : "the first still runs");
        std::puts(second_has_run ? "the second has run" : "the second has not run");
    }
};

}  // namespace

// The exit has come to where it waits for the helper thread.
REPLACES(pthread_join)
extern "C" int pthread_join(pthread_t thread, void** result) {
    joining.count_down();
    return replaced_pthread_join()(thread, result);
}

int main() {
    static Older older;
    const auto [ctx, cancel] = context::with_cancel(context::background());
    context::after_func(ctx, [] {
        entered.count_down();
        joining.wait();
        finished = true;
    });
    cancel();
    entered.wait();
    context::after_func(ctx, [] { second_has_run = true; });
    return 0;
}
