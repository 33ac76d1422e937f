#include "flag/duration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <ranges>
#include <system_error>
#include <utility>

namespace {

constexpr std::array<std::pair<std::string_view, std::int64_t>, 6> units{{
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

std::string_view take_digits(std::string_view& text) {
    const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
    text.remove_prefix(digits.size());
    return digits;
}

}  // namespace

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    const std::string_view whole = take_digits(text);
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = take_digits(text);
    }
    if (whole.empty() && fraction.empty()) return std::nullopt;

    const auto unit = std::ranges::find(units, text, [](const auto& u) { return u.first; });
    if (unit == units.end()) return std::nullopt;
    const std::int64_t unit_ns = unit->second;

    std::int64_t count = 0;
    if (!whole.empty()) {
        const auto parsed = std::from_chars(whole.data(), whole.data() + whole.size(), count);
        if (parsed.ec != std::errc{}) return std::nullopt;
    }
    std::int64_t rest_ns = 0;
    for (const char digit : fraction | std::views::reverse) {
        rest_ns = (rest_ns + (digit - '0') * unit_ns) / 10;
    }
    if (count > (std::numeric_limits<std::int64_t>::max() - rest_ns) / unit_ns) return std::nullopt;
    return std::chrono::nanoseconds(count * unit_ns + rest_ns);
}

void add_duration(CLI::App& app, const std::string& name, std::chrono::nanoseconds& value,
                  const std::string& description) {
    const auto set = [name, &value](const std::string& text) {
        const auto duration = parse_duration(text);
        if (!duration) {
            throw CLI::ValidationError(name,
                                       '"' + text + "\" is not a duration such as 500ms or 1.5s");
        }
        value = *duration;
    };
    app.add_option_function<std::string>(name, set, description)->type_name("DURATION");
}
