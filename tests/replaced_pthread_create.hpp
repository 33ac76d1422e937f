// Replaces pthread_create for a whole program. So only one source file of a program includes it,
// and says before that
//
//     bool replaced_new::starting();    before a thread starts; if it returns false, that fails
#ifndef TESTS_REPLACED_PTHREAD_CREATE_HPP
#define TESTS_REPLACED_PTHREAD_CREATE_HPP

#include <pthread.h>

#include <cerrno>

#include "tests/replaced_function.hpp"
#include "tests/replaced_new.hpp"

#ifndef NOTHING_REPLACED
REPLACES(pthread_create)
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) noexcept {
    if (!replaced_new::starting()) return EAGAIN;
    return replaced_pthread_create()(thread, attributes, run, argument);
}
#endif

#endif  // TESTS_REPLACED_PTHREAD_CREATE_HPP
