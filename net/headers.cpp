#include "net/headers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <string_view>
#include <system_error>

#include "net/url.hpp"

namespace {

using std::string_view;

bool is_token(string_view name) {
    constexpr string_view token =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return !name.empty() && name.find_first_not_of(token) == string_view::npos;
}

bool is_value(string_view value) {
    constexpr string_view blanks = " \t";
    const auto is_control = [](unsigned char c) { return (c < ' ' && c != '\t') || c == 127; };
    if (value.empty()) return true;
    return blanks.find(value.front()) == string_view::npos &&
           blanks.find(value.back()) == string_view::npos &&
           std::ranges::none_of(value, is_control);
}

// is_reserved returns whether the header says where a request ends, whom it is for, or what
// becomes of its connection.
bool is_reserved(string_view name) {
    constexpr std::array<string_view, 8> names = {
        "Connection", "Content-Length",    "Expect", "Host", "TE",
        "Trailer",    "Transfer-Encoding", "Upgrade"};
    return std::ranges::any_of(names, [&](string_view own) { return same_word(own, name); });
}

}  // namespace

bool HeaderNameLess::operator()(const std::string& a, const std::string& b) const {
    return std::ranges::lexicographical_compare(a, b, {}, lower, lower);
}

std::string bad_header(const Headers& headers) {
    for (const auto& [name, value] : headers) {
        if (!is_token(name)) return "invalid header name " + quote(name);
        if (!is_value(value)) return "invalid value for header " + quote(name);
        if (is_reserved(name)) return "a caller may not set the header " + quote(name);
    }
    return {};
}

BodyLength body_length(const Headers& headers) {
    for (const auto& [name, value] : headers) {
        if (!is_token(name)) return {std::nullopt, "invalid header name " + quote(name)};
    }
    const auto [coding, end_of_codings] = headers.equal_range("Transfer-Encoding");
    if (coding != end_of_codings) {
        if (headers.contains("Content-Length")) {
            return {std::nullopt, "both a Transfer-Encoding and a Content-Length"};
        }
        const bool single = std::next(coding) == end_of_codings;
        if (single && same_word(coding->second, "chunked")) return {};
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
