// What Go's http.NewRequestWithContext, Client.Do and io.ReadAll are together: a GET that a context
// can stop.
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
    // Phase says how far the call came: `request`, the URL cannot be used, and nothing was sent;
    // `response`, it had no usable headers of an answer; `read`, it was reading the body.
    enum class Phase { request, response, read };

    Phase phase;
    std::string url;
    std::string reason;  // the message of ctx.err() if the context ended the call

    // message is what Go prints for it: `parse "URL": REASON`, `Get "URL": REASON`, or REASON.
    std::string message() const;
};

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

// http_get sends a GET and reads the answer, whatever its status from 200 on, on the calling
// thread. When ctx is done, it returns at once, whether it looks up the host, connects, sends,
// waits or reads; the thread that cancels only shuts a socket down. A lookup is left to a thread
// that is abandoned then: see net/lookup.hpp. The connection is reset, so that the server hears of
// it even while it waits to send. After the last byte ctx is asked once more: if it is done, the
// answer is dropped, and the error is that of the context; if it is done later, the answer stands.
// There is no other time limit (below 24 days), but the system's own for lookups and connects.
//
// The addresses of the host are tried one after the other until one of them accepts a connection.
//
// A body that is shorter than declared is an error, and so is one that is longer than
// options.max_body: no more than that is kept. One with neither a declared length nor
// chunks ends with its connection; then only a reset shows that it was cut off.
//
// If memory runs out, it throws std::bad_alloc, or returns an error where the library catches that.
//
// If ctx carries an HttpTrace, that is told of each step: see net/http_trace.hpp.
//
// It follows no redirects, opens a connection for each call, and decodes no Content-Encoding. The
// process must ignore SIGPIPE: a send to a connection that its peer has closed, or that a stop has
// shut down, would end it.
HttpResult http_get(const context::Context& ctx, const std::string& url,
                    const HttpOptions& options = {});

#endif  // NET_HTTP_GET_HPP
