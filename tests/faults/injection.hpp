// Makes allocations and thread starts fail. It replaces operator new and pthread_create for the
// whole program, so that only one source file of a program includes it.
#ifndef TESTS_FAULTS_INJECTION_HPP
#define TESTS_FAULTS_INJECTION_HPP

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace inject {

// Fault is to happen after `left` calls that go well: to one call, or to it and all that follow.
struct Fault {
    std::atomic<long> left = -1;
    std::atomic<bool> lasting = false;
    std::atomic<bool> happened = false;

    void arm(long after, bool lasts = false) {
        happened = false;
        lasting = lasts;
        left = after;
    }
    void disarm() { left = -1; }
    bool strikes() {
        if (left < 0) return false;
        if (lasting ? left-- > 0 : left-- != 0) return false;
        if (lasting) left = 0;
        happened = true;
        return true;
    }
};

inline Fault allocation;
inline Fault thread_start;
inline std::atomic<long> outstanding = 0;  // allocations
inline thread_local bool exempt = false;   // this thread's allocations neither fail nor count

inline void check(bool ok, const char* what, long n) {
    if (ok) return;
    allocation.disarm();
    thread_start.disarm();
    std::printf("failed: %s, at failure %ld\n", what, n);
    std::fflush(stdout);
    std::_Exit(1);
}

}  // namespace inject

namespace replaced_new {

inline bool allocating() { return inject::exempt || !inject::allocation.strikes(); }
inline bool starting() { return !inject::thread_start.strikes(); }
inline void allocated() {
    if (!inject::exempt) ++inject::outstanding;
}
inline void freed() {
    if (!inject::exempt) --inject::outstanding;
}

}  // namespace replaced_new

#include "tests/replaced_pthread_create.hpp"

#endif  // TESTS_FAULTS_INJECTION_HPP
