// The child of a fork() has no timer thread, and its exit() does not join one.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "context.hpp"
#include "tests/replaced_function.hpp"

using namespace std::chrono_literals;

// What the timer thread had on its stack is nobody's in the child.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return 1; }

namespace {
const pid_t parent = ::getpid();
}

// Some systems let a child join what it does not have.
REPLACES(pthread_join)
extern "C" int pthread_join(pthread_t thread, void** result) {
    if (::getpid() != parent) ::_exit(5);
    return replaced_pthread_join()(thread, result);
}

namespace {

context::Cancellable before = context::with_cancel(context::background());
context::Cancellable timed = context::with_timeout(before.ctx, 1h);

int in_child() {
    const auto [ctx, cancel] = context::with_cancel(timed.ctx);
    if (ctx.err() || ctx.deadline() != timed.ctx.deadline()) return 2;
    cancel();
    if (context::wait(ctx) != context::errc::canceled) return 3;
    before.cancel();
    return context::wait(timed.ctx) == context::errc::canceled ? 0 : 4;
}

}  // namespace

int main() {
    const auto [first, cancel] = context::with_timeout(context::background(), 1ms);
    context::wait(first);
    for (int i = 0; i < 2; ++i) {
        const pid_t child = ::fork();
        if (child < 0) return 1;
        if (child == 0) std::exit(in_child());
        int status = -1;
        if (::waitpid(child, &status, 0) != child || status != 0) {
            std::printf("the child ended with status %#x\n", static_cast<unsigned>(status));
            return 1;
        }
    }
    const auto [last, cancel_last] = context::with_timeout(timed.ctx, 1ms);
    if (context::wait(last) != context::errc::deadline_exceeded) return 1;
    std::puts("all children ended");
    return 0;
}
