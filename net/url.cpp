#include "net/url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <system_error>

namespace {

using std::string_view;

constexpr string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr string_view digits = "0123456789";
constexpr string_view hex_digits = "0123456789ABCDEFabcdef";

bool is_one_of(char c, string_view set) { return set.find(c) != string_view::npos; }

// cut_at returns what stands before the first of `separators` and leaves the rest in `text`.
string_view cut_at(string_view& text, string_view separators) {
    const string_view head = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(head.size());
    return head;
}

// bad_character says which byte of a path or query cannot be sent; empty if all can.
std::string bad_character(string_view target) {
    for (std::size_t i = 0; i < target.size(); ++i) {
        const string_view rest = target.substr(i);
        if (rest[0] <= ' ' || rest[0] > '~') {
            return "invalid character " + quote(rest.substr(0, 1)) + " in URL";
        }
        if (rest[0] == '%' && (rest.size() < 3 || !is_one_of(rest[1], hex_digits) ||
                               !is_one_of(rest[2], hex_digits))) {
            return "invalid URL escape " + quote(rest.substr(0, 3));
        }
    }
    return {};
}

// take_host moves the host from the front of `authority` into `host`, and returns what is wrong.
std::string take_host(string_view& authority, std::string& host) {
    if (authority.find('@') != string_view::npos) return "user information is not supported";
    if (authority.starts_with('[')) {
        authority.remove_prefix(1);
        host = cut_at(authority, "]");
        if (authority.empty()) return "missing ']' in host";
        authority.remove_prefix(1);
        in6_addr address{};
        if (!host.empty() && (host.find('\0') != std::string::npos ||
                              ::inet_pton(AF_INET6, host.c_str(), &address) != 1)) {
            return "invalid address " + quote("[" + host + "]");
        }
    } else {
        host = cut_at(authority, ":");
        for (const char& c : host) {
            if (!is_one_of(c, letters) && !is_one_of(c, digits) && !is_one_of(c, "-._")) {
                return "invalid character " + quote({&c, 1}) + " in host name";
            }
        }
    }
    return host.empty() ? "no host in URL" : "";
}

// take_port reads what follows the host: nothing, ":" or ":PORT".
std::string take_port(string_view text, int& port) {
    if (text.empty() || text == ":") return {};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 1, end, port);
    const bool valid = text[0] == ':' && is_one_of(text[1], digits) && stop == end &&
                       error == std::errc{} && port >= 1 && port <= 65535;
    return valid ? "" : "invalid port " + quote(text) + " after host";
}

}  // namespace

ParsedUrl parse_url(string_view text) {
    string_view rest = text.substr(0, text.find('#'));
    const string_view scheme = cut_at(rest, ":/?");
    if (scheme.empty() || !rest.starts_with(':')) return {{}, "missing protocol scheme"};
    if (!same_word(scheme, "http")) return {{}, "unsupported protocol scheme " + quote(scheme)};
    if (!rest.starts_with("://")) return {{}, "no host in URL"};
    rest.remove_prefix(3);

    Url url;
    string_view authority = cut_at(rest, "/?");
    std::string error = take_host(authority, url.host);
    if (error.empty()) error = take_port(authority, url.port);
    url.target = (rest.starts_with('/') ? "" : "/") + std::string(rest);
    if (error.empty()) error = bad_character(url.target);
    return {url, error};
}

bool same_word(string_view a, string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

std::string host_header(const Url& url) {
    const bool v6 = url.host.find(':') != std::string::npos;
    return (v6 ? '[' + url.host + ']' : url.host) +
           (url.port == 80 ? "" : ':' + std::to_string(url.port));
}

std::string quote(string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        if (c >= ' ' && c <= '~') {
            quoted += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            quoted += {'\\', 'x', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
        }
    }
    return quoted + '"';
}
