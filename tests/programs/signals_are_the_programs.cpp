// Waits for a signal with sigwait, after the hidden threads have started: the signal must not land
// on one of them, where nobody has blocked it.
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "context.hpp"

using namespace std::chrono_literals;

static const auto early = context::with_timeout(context::background(), 1h);
static const auto also_early = context::after_func(early.ctx, [] {});

int main() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (const int each : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGPROF, SIGRTMIN}) {
        ::kill(::getpid(), each);
        int received = 0;
        ::sigwait(&all, &received);
        if (received != each) return 1;
    }
    std::puts("all signals are received");
}
