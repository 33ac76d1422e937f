// An HTTP GET that a context can abort. (In Go: http.NewRequestWithContext, Client.Do, io.ReadAll.)
#ifndef NET_HTTP_GET_HPP
#define NET_HTTP_GET_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <system_error>

#include "context.hpp"
#include "net/headers.hpp"

struct HttpOptions {
    Headers headers;                               // sent with the request; see bad_header
    std::size_t max_body = std::size_t{64} << 20;  // bytes; a longer body is an error
};

struct HttpResponse {
    int status = 0;
    Headers headers;
    std::string body;
};

// HttpError says how far a call came, and why it failed.
struct HttpError {
    enum class Phase {
        request,   // the URL cannot be used; nothing was sent
        response,  // it failed before it had accepted the headers of an answer
        read,      // it had the headers, and failed while it read the body
    };

    Phase phase;
    std::string url;
    std::string reason;         // if the context aborted the call, the message of ctx.err()
    std::error_code aborted{};  // ctx.err() if the context aborted the call, otherwise empty

    // message has Go's form: `parse "URL": REASON`, `Get "URL": REASON`, or REASON.
    std::string message() const;
};

const char* to_string(HttpError::Phase phase);

// HttpResult is what Go returns as two values; take both:
//
//     const auto [response, error] = http_get(ctx, url);
//     if (error) ...
//
// If there is an error, there is no response.
struct [[nodiscard]] HttpResult {
    HttpResponse response;
    std::optional<HttpError> error;
};

// http_get sends a GET and reads the answer, on the calling thread. It returns any answer with a
// status from 200 on. If memory runs out, it throws std::bad_alloc, or returns an error where
// cpp-httplib catches that.
//
// When ctx is done, http_get returns at once. That holds while it looks up the host, connects,
// sends, waits and reads. A lookup goes on, on a thread that is abandoned: see net/lookup.hpp. A
// cancel resets the connection: even a server that waits to send learns of that. After
// the last byte http_get asks ctx once more: if it is done by then, the answer is dropped. The only
// other time limits are half an hour to connect and 24 days to wait for a byte.
//
// The addresses of the host are tried one after the other, until one accepts a connection.
//
// A body is an error if it is shorter than declared, or longer than options.max_body. No more than
// that is kept. A body with neither a declared length nor chunks ends with its connection; then
// only a reset shows that it was cut off. An answer whose headers leave its length in doubt is an
// error, as far as cpp-httplib shows them: see body_length. An answer is an error, too, if it
// begins with an interim answer other than a bare 100, or has a line that the library cannot read,
// such as a header over 8 KiB. What the library hides is in tests/library_faults.
//
// The request has the path and query of the URL as they stand. If ctx carries an HttpTrace,
// http_get calls it at each step: see net/http_trace.hpp.
//
// http_get follows no redirects, opens a connection for each call, and decodes no Content-Encoding.
// It raises no SIGPIPE.
HttpResult http_get(const context::Context& ctx, const std::string& url,
                    const HttpOptions& options = {});

#endif  // NET_HTTP_GET_HPP
