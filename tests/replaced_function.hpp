// For a program that replaces a function of the system by one of its own.
#ifndef TESTS_REPLACED_FUNCTION_HPP
#define TESTS_REPLACED_FUNCTION_HPP

#include <dlfcn.h>

// After REPLACES(f), replaced_f() is the function that f would be without the program's own.
// Clang's sanitizers are linked into the program, where dlsym does not find theirs; they miss what
// is done behind their back.
#define REPLACES(f)                                                                      \
    extern "C" [[gnu::weak]] decltype(f) __interceptor_##f;                              \
    inline decltype(f)* replaced_##f() {                                                 \
        static const auto next = reinterpret_cast<decltype(f)*>(::dlsym(RTLD_NEXT, #f)); \
        return __interceptor_##f ? __interceptor_##f : next;                             \
    }

#endif  // TESTS_REPLACED_FUNCTION_HPP
