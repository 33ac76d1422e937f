// An http URL, taken apart and checked before a byte of it is sent. (In Go: net/url.)
#ifndef NET_URL_HPP
#define NET_URL_HPP

#include <string>
#include <string_view>

// Url is an absolute http URL, split for sending.
struct Url {
    std::string host;    // a name or an address; that of IPv6 without its brackets
    int port = 80;       // 1 to 65535
    std::string target;  // path and query, as they go into the request line: never empty
};

// ParsedUrl holds either a Url or, if `error` is not empty, what is wrong with the text.
struct ParsedUrl {
    Url url;
    std::string error;
};

// parse_url takes `text` apart. It accepts what can be sent as it stands: letters outside ASCII and
// spaces must be percent-encoded. A fragment is dropped; a user name or password is an error.
ParsedUrl parse_url(std::string_view text);

// host_header returns what the request says in its Host header: an address of IPv6 in brackets, the
// port unless it is 80.
std::string host_header(const Url& url);

// lower returns an ASCII letter in lower case, and any other byte as it is, whatever the locale.
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// same_word compares without regard to the case of ASCII letters.
bool same_word(std::string_view a, std::string_view b);

// quote returns `text` in double quotes, with quotes, backslashes and bytes that do not print
// escaped: whatever it holds, the result is one line of ASCII.
std::string quote(std::string_view text);

#endif  // NET_URL_HPP
