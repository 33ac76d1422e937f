#include "net/headers.hpp"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include "net/url.hpp"

bool HeaderNameLess::operator()(const std::string& a, const std::string& b) const {
    return ::strcasecmp(a.c_str(), b.c_str()) < 0;
}

std::string bad_header(const Headers& headers) {
    constexpr std::string_view token =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    constexpr std::string_view blanks = " \t";
    const auto is_control = [](unsigned char c) { return (c < ' ' && c != '\t') || c == 127; };
    for (const auto& [name, value] : headers) {
        if (name.empty() || name.find_first_not_of(token) != std::string::npos) {
            return "invalid header name " + quote(name);
        }
        if (std::ranges::any_of(value, is_control) || value.find_first_of(blanks) == 0 ||
            (!value.empty() && value.find_last_of(blanks) == value.size() - 1)) {
            return "invalid value for header " + quote(name);
        }
    }
    return {};
}

BodyLength body_length(const Headers& headers) {
    const auto [coding, end_of_codings] = headers.equal_range("Transfer-Encoding");
    if (coding != end_of_codings) {
        const bool single = std::next(coding) == end_of_codings;
        if (single && ::strcasecmp(coding->second.c_str(), "chunked") == 0) return {};
        return {std::nullopt, "unsupported Transfer-Encoding " + quote(coding->second)};
    }
    BodyLength length;
    const auto [first, last] = headers.equal_range("Content-Length");
    for (auto header = first; header != last; ++header) {
        const std::string& text = header->second;
        std::uint64_t bytes = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, bytes);
        const bool number = stop == end && error == std::errc{};
        if (!number || length.declared.value_or(bytes) != bytes) {
            return {std::nullopt, "bad Content-Length " + quote(text)};
        }
        length.declared = bytes;
    }
    return length;
}
