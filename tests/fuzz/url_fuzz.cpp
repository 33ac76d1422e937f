// Any bytes as a URL: what parse_url takes can be sent, and reads the same when it is read again.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/url.hpp"

static void check(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::abort();
}

static bool is_printable(std::string_view text, char first) {
    for (const char c : text) {
        if (c < first || c > '~') return false;
    }
    return true;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string text(data, data + size);
    const auto [url, error] = parse_url(text);
    check(is_printable(error, ' '), "an error is one line of ASCII");
    check(is_printable(quote(text), ' '), "a quoted text is one line of ASCII");
    if (!error.empty()) return 0;

    check(!url.host.empty() && is_printable(url.host, '!'), "the host can be sent");
    check(url.port >= 1 && url.port <= 65535, "the port is one");
    check(url.target.starts_with('/') && is_printable(url.target, '!'), "the target can be sent");

    const bool v6 = url.host.find(':') != std::string::npos;
    const std::string again = "http://" + (v6 ? '[' + url.host + ']' : url.host) + ':' +
                              std::to_string(url.port) + url.target;
    const auto [same, no_error] = parse_url(again);
    check(no_error.empty(), "what was read can be read again");
    check(same.host == url.host && same.port == url.port && same.target == url.target,
          "it reads the same");
    return 0;
}
