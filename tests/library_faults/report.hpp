// The line that each of these programs prints.
#ifndef TESTS_LIBRARY_FAULTS_REPORT_HPP
#define TESTS_LIBRARY_FAULTS_REPORT_HPP

#include <httplib.h>

#include <cstdio>

inline int report(const char* fault, bool present) {
    std::printf("cpp-httplib %-8s %-9s %s\n", CPPHTTPLIB_VERSION,
                present ? "has it:" : "free of:", fault);
    return 0;
}

#endif  // TESTS_LIBRARY_FAULTS_REPORT_HPP
