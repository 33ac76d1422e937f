// The client of the demo: two calls that share a context.
#ifndef CLIENT_HPP
#define CLIENT_HPP

#include <optional>
#include <string>

#include "context.hpp"

void call_both(const context::Context& parent, const std::string& error_value,
               const std::string& slow_url, const std::string& fast_url);
std::optional<std::string> call_server(const context::Context& ctx, const std::string& label,
                                       const std::string& url);

#endif  // CLIENT_HPP
