// A value that knows how many of its kind live.
#ifndef TESTS_COUNTED_HPP
#define TESTS_COUNTED_HPP

#include <atomic>

struct Counted {
    Counted() { ++living; }
    Counted(const Counted&) { ++living; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --living; }
    static int alive() { return living; }
    static inline std::atomic<int> living{0};
};

#endif  // TESTS_COUNTED_HPP
