// The line that each of these programs prints.
#ifndef TESTS_LIBRARY_FAULTS_REPORT_HPP
#define TESTS_LIBRARY_FAULTS_REPORT_HPP

#include <httplib.h>

#include <array>
#include <cstdio>

using Version = std::array<int, 3>;
inline constexpr Version no_version{99};

// report returns 1 if it is not as the README says: present in the versions before `free_since`.
inline int report(const char* fault, bool present, const Version& free_since) {
    Version installed{};
    std::sscanf(CPPHTTPLIB_VERSION, "%d.%d.%d", &installed[0], &installed[1], &installed[2]);
    const bool as_known = present == (installed < free_since);
    std::printf("cpp-httplib %-8s %-9s %s%s\n", CPPHTTPLIB_VERSION,
                present ? "has it:" : "free of:", fault, as_known ? "" : "  (unexpected)");
    return as_known ? 0 : 1;
}

#endif  // TESTS_LIBRARY_FAULTS_REPORT_HPP
