// The headers of an HTTP message as a std::multimap, and what they say of the length of its body.
#ifndef NET_HEADERS_HPP
#define NET_HEADERS_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <string>

// HeaderNameLess orders the names of headers without regard to their case.
struct HeaderNameLess {
    bool operator()(const std::string& a, const std::string& b) const;
};

// Headers are names and values; a name may occur more than once.
using Headers = std::multimap<std::string, std::string, HeaderNameLess>;

// bad_header says which of the headers a request cannot carry, and why; it is empty if it can carry
// all. It refuses names and values that would break the request, and those that http_get decides:
// Connection, Content-Length, Expect, Host, TE, Trailer, Transfer-Encoding and Upgrade.
std::string bad_header(const Headers& headers);

// BodyLength is what the headers of an answer say of the length of its body.
struct BodyLength {
    std::optional<std::uint64_t> declared;  // bytes; empty if chunks or the connection end the body
    std::string error;                      // empty if the length is beyond doubt
};

// body_length finds an error where two readers of the answer could see different lengths: a name
// that is not a token, lengths that differ or are no numbers, a coding other than a single
// `chunked`, or a coding and a length.
BodyLength body_length(const Headers& headers);

#endif  // NET_HEADERS_HPP
