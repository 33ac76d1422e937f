// What the random and the threaded tests of context.hpp share.
#ifndef TESTS_BOUNDED_HPP
#define TESTS_BOUNDED_HPP

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <random>
#include <string>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || \
    __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr int slowdown = 10;
#else
constexpr int slowdown = 1;
#endif

// A test that hangs is ended by SIGABRT after five minutes: doctest then says which one it was.
struct Bounded {
    Bounded() {
        std::signal(SIGALRM, [](int) { std::abort(); });
        ::alarm(300);
    }
    ~Bounded() { ::alarm(0); }
};

// A seed that a failed test has printed can be given back as TEST_SEED.
inline unsigned fresh_seed() {
    const char* const given = std::getenv("TEST_SEED");
    return given ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
}

#endif  // TESTS_BOUNDED_HPP
