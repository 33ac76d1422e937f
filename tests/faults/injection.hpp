// Makes allocations and thread starts fail. It replaces operator new and pthread_create for the
// whole program, so that only one source file of a program includes it.
#ifndef TESTS_FAULTS_INJECTION_HPP
#define TESTS_FAULTS_INJECTION_HPP

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
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

// Clang's sanitizer for threads brings operators and a pthread_create of its own.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NOTHING_INJECTED
#endif
#endif
#ifndef NOTHING_INJECTED
namespace inject {

inline void* allocate(std::size_t size, std::size_t alignment) {
    if (!exempt && allocation.strikes()) throw std::bad_alloc();
    void* const p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (!p) throw std::bad_alloc();
    if (!exempt) ++outstanding;
    return p;
}

// Inlined where GCC does not inline the above, it would be warned of as no match for it.
[[gnu::noinline]] inline void release(void* p) {
    if (p && !exempt) --outstanding;
    std::free(p);
}

}  // namespace inject

void* operator new(std::size_t size) { return inject::allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return inject::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { inject::release(p); }
void operator delete(void* p, std::size_t) noexcept { inject::release(p); }
void operator delete(void* p, std::align_val_t) noexcept { inject::release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { inject::release(p); }

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) noexcept {
    if (inject::thread_start.strikes()) return EAGAIN;
    static const auto real =
        reinterpret_cast<decltype(&pthread_create)>(::dlsym(RTLD_NEXT, "pthread_create"));
    return real(thread, attributes, run, argument);
}
#endif

#endif  // TESTS_FAULTS_INJECTION_HPP
