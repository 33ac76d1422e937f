#include "flag/duration.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;

TEST_CASE("a duration is a decimal number with a unit") {
    CHECK(parse_duration("0s") == 0ns);
    CHECK(parse_duration("7ns") == 7ns);
    CHECK(parse_duration("7us") == 7us);
    CHECK(parse_duration("500ms") == 500ms);
    CHECK(parse_duration("1.5s") == 1500ms);
    CHECK(parse_duration("2m") == 2min);
    CHECK(parse_duration("2h") == 2h);
    CHECK(parse_duration(".5s") == 500ms);
    CHECK(parse_duration("1.s") == 1s);
    CHECK(parse_duration("007s") == 7s);
    CHECK(parse_duration("0.1h") == 6min);
    CHECK(parse_duration("1.9999999999999999999999s") == 1999999999ns);
    CHECK(parse_duration("0.9ns") == 0ns);
}

TEST_CASE("a duration reaches to the end of 64-bit nanoseconds, and not beyond") {
    CHECK(parse_duration("9223372036854775807ns") == std::chrono::nanoseconds::max());
    CHECK(parse_duration("9223372036.854775807s") == std::chrono::nanoseconds::max());
    CHECK_FALSE(parse_duration("9223372036854775808ns"));
    CHECK_FALSE(parse_duration("9223372036.854775808s"));
    CHECK_FALSE(parse_duration("2562048h"));
    CHECK_FALSE(parse_duration("99999999999999999999999999s"));
}

TEST_CASE("what is no duration is refused") {
    for (const char* const text : {"", "5", "s", ".s", ".", "-5s", "+5s", "1e3s", "0x5s", "nan",
                                   "inf", "5 s", " 5s", "5s ", "5S", "1.2.3s", "1h30m", "5sec"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text));
    }
}
