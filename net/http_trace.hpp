// What Go has in net/http/httptrace: a context can carry a function that is told what http_get and
// TestServer do. Whoever calls or is called does not know of it.
#ifndef NET_HTTP_TRACE_HPP
#define NET_HTTP_TRACE_HPP

#include <functional>
#include <string>
#include <system_error>

#include "context.hpp"

// HttpEvent is one step of a call or of a server. It is told on the thread that causes it; what it
// refers to is valid until the HttpTrace returns.
struct HttpEvent {
    enum class Step {
        // Of http_get: first `call_started`, last one of the three after `call_stopped`.
        call_started,
        connecting,    // it has a socket, which connects and then sends; again for another address
        got_response,  // the headers of the answer have arrived
        call_stopped,  // its context has ended: on the thread that cancels
        call_returned,
        call_failed,
        call_aborted,  // failed, and its context has ended

        // Of TestServer.
        listening,
        got_request,
        handler_stopped,  // its context has ended: on the thread that closes the server, or cancels
        handler_returned,  // the answer is about to be sent
        closing,
        closed,
    };

    Step step;
    const std::string& url;    // of the call, or TestServer::url()
    std::error_code err = {};  // err() of the context, when it is stopped and afterwards
};

// HttpTrace is the function. It is called on many threads, some of them in the middle of a cancel:
// it must be quick and must not throw.
using HttpTrace = std::function<void(const HttpEvent&)>;

// http_trace is the key: after with_value(parent, http_trace, f) f is called for all calls made
// with that context, and for a TestServer whose parent it is.
inline const context::Key<HttpTrace> http_trace{"http trace"};

// HttpTracer calls the function of a context, if it has one. Both `ctx` and `url` must outlive it.
class HttpTracer {
public:
    HttpTracer(const context::Context& ctx, const std::string& url)
        : trace_(ctx.value(http_trace)), url_(url) {}
    void operator()(HttpEvent::Step step, std::error_code err = {}) const {
        if (trace_) (*trace_)({step, url_, err});
    }

private:
    const HttpTrace* trace_;
    const std::string& url_;
};

#endif  // NET_HTTP_TRACE_HPP
