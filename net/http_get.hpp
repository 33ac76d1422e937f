// What Go has in net/http for a client: a GET that a context can stop.
#ifndef NET_HTTP_GET_HPP
#define NET_HTTP_GET_HPP

#include <cstddef>
#include <optional>
#include <string>

#include "context.hpp"
#include "net/headers.hpp"

struct HttpOptions {
    Headers headers;                               // sent with the request
    std::size_t max_body = std::size_t{64} << 20;  // bytes; a longer body is an error
};

struct HttpResponse {
    int status = 0;
    Headers headers;
    std::string body;
};

// HttpError says where a call ended, and why.
struct HttpError {
    // Phase is how far the call had come: `request`, the URL is not valid and nothing was sent;
    // `response`, the headers had not all arrived; `read`, they had, but the body had not.
    enum class Phase { request, response, read };

    Phase phase;
    std::string url;
    std::string reason;  // the message of ctx.err() if the context ended the call

    // message is what Go prints for it: `parse "URL": REASON`, `Get "URL": REASON`, or REASON.
    std::string message() const;
};

// to_string names the phase: "request", "response" or "read".
const char* to_string(HttpError::Phase phase);

// HttpResult is what Go returns as two values; take both:
//
//     const auto [response, err] = http_get(ctx, url);
//     if (err) ...
//
// If there is an error, there is no response.
struct [[nodiscard]] HttpResult {
    HttpResponse response;
    std::optional<HttpError> error;
};

// http_get sends a GET and reads the answer, whatever its status, on the calling thread. When ctx
// ends, it returns at once, whether it is connecting, waiting or reading; the thread that cancels
// only shuts a socket down. A call whose context is done when it ends has the error of the context.
// It sets no time limit of its own.
//
// A body that is shorter than declared is an error, and so is one that is longer than
// options.max_body: no more than that is read. One without a declared length ends with its
// connection; then only a reset shows that it was cut off.
//
// Running out of memory throws std::bad_alloc, or is an error.
//
// If ctx carries an HttpTrace, that is told of each step: see net/http_trace.hpp.
//
// It does not follow redirects, keeps no connection, decodes no Content-Encoding, and cannot be
// stopped while it looks up a host name. The process must ignore SIGPIPE.
HttpResult http_get(const context::Context& ctx, const std::string& url,
                    const HttpOptions& options = {});

#endif  // NET_HTTP_GET_HPP
