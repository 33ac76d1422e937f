// A duration on the command line, for CLI11: one number and one unit.
#ifndef FLAG_DURATION_HPP
#define FLAG_DURATION_HPP

#include <CLI/CLI.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

// parse_duration reads a non-negative decimal number with one of the units ns, us, ms, s, m, h:
// "500ms", "1.5s", "0s". Parts of a nanosecond are cut off. It returns nothing if the text is
// anything else, or does not fit into 64-bit nanoseconds.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// add_duration adds an option of that form to `app`, which sets `value` when it is given.
void add_duration(CLI::App& app, const std::string& name, std::chrono::nanoseconds& value,
                  const std::string& description);

#endif  // FLAG_DURATION_HPP
