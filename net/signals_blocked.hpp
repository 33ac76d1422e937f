// Keeps the program's signals away from threads that it does not know of.
#ifndef NET_SIGNALS_BLOCKED_HPP
#define NET_SIGNALS_BLOCKED_HPP

#include <csignal>

// While a SignalsBlocked lives, its thread blocks all signals but those of its own faults. A thread
// started meanwhile inherits that: the signals are for the program's own handlers and its sigwait.
// context.hpp has one of its own, because it needs no other file.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t most;
        ::sigfillset(&most);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
            ::sigdelset(&most, fault);
        }
        ::pthread_sigmask(SIG_SETMASK, &most, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

#endif  // NET_SIGNALS_BLOCKED_HPP
