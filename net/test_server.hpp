// What Go has in net/http/httptest: a server for a test or a demo, in the same process.
#ifndef NET_TEST_SERVER_HPP
#define NET_TEST_SERVER_HPP

#include <httplib.h>

#include <functional>
#include <memory>
#include <string>

#include "context.hpp"

// TestServer is an HTTP server on 127.0.0.1, on a port that the system chooses. It accepts requests
// from the end of the constructor until close() or the destructor. It has eight threads that serve
// them, more if the machine has more than nine processors: requests beyond their number wait. A
// connection serves one request; it is dropped if the request does not begin within 1 s, or pauses
// for 0.4 s. The process ignores SIGPIPE from then on: the library sees to it.
class TestServer {
public:
    // Handler answers a GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS of any path on a thread of
    // the server. Its context is derived from the server's parent, and ends when that ends, when
    // the server closes, and when the handler returns; unlike in Go, it does not end when the
    // client goes away. A handler that throws answers 500. (cpp-httplib 0.53 refuses paths of more
    // than 256 characters.)
    using Handler = std::function<void(const context::Context& ctx, const httplib::Request& request,
                                       httplib::Response& response)>;

    // `parent` is what Go calls the BaseContext: when it ends, the handlers that are at work are
    // told, and requests that come later are answered with 503. If it carries an HttpTrace, that
    // is told what the server does. Throws std::system_error if it cannot listen or
    // start its threads, std::runtime_error if it cannot accept.
    TestServer(const context::Context& parent, Handler handler);
    TestServer(TestServer&&) noexcept;
    ~TestServer();

    // url is "http://127.0.0.1:PORT", after close() too.
    const std::string& url() const { return url_; }

    // close ends the contexts of the handlers and waits for them to return; no further handler is
    // started. It waits up to 1.4 s for a client that sends nothing, stops in the middle of a
    // request or does not read its answer, and without limit for one that goes on bit by bit. A
    // second call does nothing. Do not call it from a handler, nor from two threads at once.
    void close();

private:
    struct Running;
    std::unique_ptr<Running> running_;
    std::string url_;
};

#endif  // NET_TEST_SERVER_HPP
