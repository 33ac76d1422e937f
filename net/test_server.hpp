// An HTTP server for a test or a demo, in the same process. (In Go: net/http/httptest.)
#ifndef NET_TEST_SERVER_HPP
#define NET_TEST_SERVER_HPP

#include <httplib.h>

#include <functional>
#include <memory>
#include <string>

#include "context.hpp"

// TestServer is an HTTP server on 127.0.0.1, on a port that the system chooses. It accepts requests
// from the end of its constructor until close() or its destructor. Each connection serves one
// request. Ten threads do it, or more on a machine with more than nine processors: one accepts, one
// watches the clients, the others read requests, run handlers and write answers.
//
// There is no time limit. A client that is slow to send its headers costs a descriptor. One that is
// slow to send a body or to read an answer keeps one of those other threads busy, until it goes on,
// goes away, or the server closes. When memory or descriptors run out, clients wait to be accepted,
// or their connections are closed; the server goes on.
//
// The server's threads take no signals but those of their own faults. A handler that starts a child
// process resets the mask of the child. The process ignores SIGPIPE from now on: the library sees
// to that.
class TestServer {
public:
    // Handler answers a GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS of any path on a thread of
    // the server. Several threads may call it together. If it throws, the answer is a 500. If it
    // returns with neither a status nor content set, the answer is a 503 if the client's context is
    // done, otherwise an empty 200. A content provider that throws or returns false ends its answer
    // with a reset.
    //
    // The handler's context is derived from the server's parent. It is done when
    // - the client has gone away, or has closed its own side of the connection: cause(ctx) is then
    //   std::errc::connection_aborted. A client that still reads gets the answer nevertheless;
    // - the server closes, or its parent is done;
    // - the handler has returned.
    // Callbacks that a client causes run on one thread, one after the other. One that blocks holds
    // up the others and the close, but no request.
    using Handler = std::function<void(const context::Context& ctx, const httplib::Request& request,
                                       httplib::Response& response)>;

    // `parent` is what Go calls the BaseContext. When it is done, so are the contexts of the
    // handlers, and later requests are answered with 503. If it carries an HttpTrace, TestServer
    // calls that at each step. Throws std::system_error if it cannot listen or start its threads;
    // nobody could connect to it then.
    TestServer(const context::Context& parent, Handler handler);
    TestServer(TestServer&&) noexcept;
    ~TestServer();

    // url is "http://127.0.0.1:PORT", after close() too.
    const std::string& url() const { return url_; }

    // close cancels the contexts of the handlers, and waits for the handlers to return. It starts
    // no further handler, and waits for no client: if the system does not take the rest of an
    // answer without waiting, the connection is reset; a stream ends with a reset where it is. Only
    // one thread may call it, and neither a handler nor a callback. A second call does nothing.
    void close();

private:
    struct Running;
    std::unique_ptr<Running> running_;
    std::string url_;
};

#endif  // NET_TEST_SERVER_HPP
