// The headers of an HTTP message.
#ifndef NET_HEADERS_HPP
#define NET_HEADERS_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <string>

// HeaderNameLess orders the names of headers, whose case does not count.
struct HeaderNameLess {
    bool operator()(const std::string& a, const std::string& b) const;
};

// Headers are names and values; a name may occur more than once.
using Headers = std::multimap<std::string, std::string, HeaderNameLess>;

// bad_header says which of the headers to send would break the request; empty if none does.
std::string bad_header(const Headers& headers);

// BodyLength is what the headers of an answer say of the length of its body.
struct BodyLength {
    std::optional<std::uint64_t> declared;
    std::string error;  // if they contradict themselves, or ask for what http_get cannot read
};
BodyLength body_length(const Headers& headers);

#endif  // NET_HEADERS_HPP
