// Replaces getaddrinfo for a whole program: it knows a few names in .test, and no name server is
// asked. So only one source file of a program includes it.
//
//     two.test      127.0.0.2 and 127.0.0.1
//     silent.test   127.0.0.1, but only once names::answer() allows it
//     unknown.test  EAI_NONAME
//     memory.test   EAI_MEMORY
//     files.test    EAI_SYSTEM, with EMFILE
//
// All else goes to the system's own. Nobody is to use getaddrinfo_a, which fails: see configure in
// net/http_get.cpp.
#ifndef TESTS_REPLACED_GETADDRINFO_HPP
#define TESTS_REPLACED_GETADDRINFO_HPP

#include <netdb.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "tests/replaced_function.hpp"

namespace names {

inline std::atomic<int> asked = 0;   // questions for a name, not for an address
inline std::atomic<int> silent = 0;  // threads that wait for the answer to silent.test
inline std::atomic<int> answers = 0;
inline std::atomic<bool> signals_blocked = false;  // on the thread that asked last

// answer lets `count` questions for silent.test be answered, now or when they are asked.
inline void answer(int count) {
    answers += count;
    answers.notify_all();
}

inline void wait_for_answer() {
    ++silent;
    for (int left = answers; left == 0 || !answers.compare_exchange_weak(left, left - 1);) {
        if (left == 0) answers.wait(0);
        left = answers;
    }
    --silent;
}

inline bool blocks_signals() {
    sigset_t blocked;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return std::ranges::all_of(
        std::initializer_list<int>{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPROF},
        [&](int signal) { return ::sigismember(&blocked, signal) == 1; });
}

}  // namespace names

REPLACES(getaddrinfo)
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) {
    const auto real = replaced_getaddrinfo();
    if (!node || (hints && (hints->ai_flags & AI_NUMERICHOST))) {
        return real(node, service, hints, result);
    }
    ++names::asked;
    names::signals_blocked = names::blocks_signals();
    const std::string_view name = node;
    if (name == "unknown.test") return EAI_NONAME;
    if (name == "memory.test") return EAI_MEMORY;
    if (name == "files.test") {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (name == "silent.test") names::wait_for_answer();
    if (name != "two.test") return real("127.0.0.1", service, hints, result);
    const int error = real("127.0.0.2", service, hints, result);
    return error ? error : real("127.0.0.1", service, hints, &(*result)->ai_next);
}

extern "C" int getaddrinfo_a(int, gaicb**, int, sigevent*) {
    ++names::asked;
    return EAI_AGAIN;
}

#endif  // TESTS_REPLACED_GETADDRINFO_HPP
