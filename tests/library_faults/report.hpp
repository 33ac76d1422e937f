// The line that each of these programs prints for a fault of cpp-httplib, and what it returns.
#ifndef TESTS_LIBRARY_FAULTS_REPORT_HPP
#define TESTS_LIBRARY_FAULTS_REPORT_HPP

#include <httplib.h>

#include <array>
#include <cstdio>

using Version = std::array<int, 3>;
inline constexpr Version no_version{99};

// Fault is what is known of a fault.
struct Fault {
    const char* text;
    Version free_since = no_version;  // the first version without it
    Version since{};                  // the first version that has it
    Version patched = no_version;     // one of which some builds have it: distributions patch
};

// report prints whether the installed version has the fault. It returns 1 if that is not as known.
inline int report(const Fault& fault, bool present) {
    Version installed{};
    std::sscanf(CPPHTTPLIB_VERSION, "%d.%d.%d", &installed[0], &installed[1], &installed[2]);
    const bool known = fault.since <= installed && installed < fault.free_since;
    const bool elsewhere = known && !present && installed == fault.patched;
    const bool as_known = present == known || elsewhere;
    std::printf("cpp-httplib %-8s %-9s %s%s\n", CPPHTTPLIB_VERSION,
                present ? "has it:" : "free of:", fault.text,
                elsewhere   ? "  (other builds have it)"
                : !as_known ? "  (unexpected)"
                            : "");
    return as_known ? 0 : 1;
}

#endif  // TESTS_LIBRARY_FAULTS_REPORT_HPP
