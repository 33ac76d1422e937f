// A function, carried by a context, that is told what http_get and TestServer do. Neither
// caller nor callee need know of it. (In Go: net/http/httptrace.)
//
// Four names: an HttpEvent is one step; an HttpTrace is a function that is told of steps;
// http_trace is the key under which a context carries one; an HttpTracer calls the one that a
// context carries.
#ifndef NET_HTTP_TRACE_HPP
#define NET_HTTP_TRACE_HPP

#include <atomic>
#include <functional>
#include <string>

#include "context.hpp"

// HttpEvent is one step of a call or of a server. It is reported on the thread that causes it. What
// it refers to is valid until the HttpTrace returns.
struct HttpEvent {
    enum class Step {
        // Of http_get. It begins with `call_started`. It ends with `call_returned`, `call_failed`
        // or `call_aborted`, unless it throws.
        call_started,
        connecting,    // it has a socket, to connect and then to send on; again for another address
        got_response,  // the headers of the answer have arrived
        call_stopped,  // its context is done: on the thread that cancels, or when it is seen
        call_returned,
        call_failed,
        call_aborted,  // it failed because its context is done; after `call_stopped`

        // Of TestServer. A request that it refuses without a handler is not reported.
        listening,
        got_request,
        handler_stopped,   // its client's context is done: on the thread that cancels, and before
                           // the handler wakes; or when the handler returns
        handler_returned,  // and the answer is about to be sent; not if it throws
        closing,
        closed,
    };

    Step step;
    const std::string& url;       // of the call, or TestServer::url()
    const context::Context& ctx;  // of the call, of the server, or of the handler's client
};

// HttpTrace is called on many threads, also at the same time, and in the middle of a cancel: it
// must be quick and must not throw. During a call it may run in the "C" locale.
using HttpTrace = std::function<void(const HttpEvent&)>;

// http_trace: after with_value(parent, http_trace, f), f is told of all calls made with that
// context, and of a TestServer whose parent it is, including the calls of its handlers. An inner
// trace replaces an outer one; an empty function switches it off.
inline const context::Key<HttpTrace> http_trace{"http trace"};

// HttpTracer calls the HttpTrace of a context, if that has one. Both `ctx` and `url` must outlive
// it.
class HttpTracer {
public:
    HttpTracer(const context::Context& ctx, const std::string& url)
        : ctx_(ctx), url_(url), trace_(ctx.value(http_trace)) {}

    void operator()(HttpEvent::Step step) const {
        if (trace_ && *trace_) (*trace_)({step, url_, ctx_});
    }

    // stopped tells of `step` the first time that it is called. Another call does not wait for it.
    void stopped(HttpEvent::Step step) {
        if (!stopped_.test_and_set()) (*this)(step);
    }

private:
    const context::Context& ctx_;
    const std::string& url_;
    const HttpTrace* trace_;
    std::atomic_flag stopped_;
};

#endif  // NET_HTTP_TRACE_HPP
