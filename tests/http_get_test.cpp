#include "net/http_get.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <future>
#include <latch>
#include <random>
#include <thread>

#include "net/socket_stop.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;
using context::Context;
using Phase = HttpError::Phase;

namespace {

const std::string unreadable = "the answer ended early, or has a line that cpp-httplib cannot read";

std::string message_of(const HttpResult& result) {
    return result.error ? result.error->message() : "no error";
}

// A GET on a thread of its own.
std::future<HttpResult> start_get(const Context& ctx, const std::string& url) {
    return std::async(std::launch::async, [ctx, url] { return http_get(ctx, url); });
}

// answer_of is what http_get makes of `text` as the whole of an answer.
HttpResult answer_of(const std::string& text, const HttpOptions& options = {}) {
    const ScriptedServer server([&](Socket& client) { client.send(text); });
    return http_get(context::background(), server.url(), options);
}

// request_of is what a server at `host`, an address of this machine, is sent for `target`.
std::string request_of(const std::string& host, const std::string& target,
                       const HttpOptions& options = {}, std::string* port = nullptr) {
    std::promise<std::string> request;
    const Listener listener;
    const std::string authority = host + ':' + std::to_string(listener.port());
    std::jthread server([&] {
        const Socket client = listener.accept();
        request.set_value(client.read_until("\r\n\r\n"));
        client.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    const auto [response, error] =
        http_get(context::background(), "http://" + authority + target, options);
    CHECK_FALSE(error);
    CHECK(response.status == 204);
    if (port) *port = std::to_string(listener.port());
    return request.get_future().get();
}

HttpOptions at_most(std::size_t max_body) {
    HttpOptions options;
    options.max_body = max_body;
    return options;
}

// cancelled_in_body cancels when the client has read `head` and a part of the body.
HttpResult cancelled_in_body(const std::string& head) {
    auto [ctx, cancel] = context::with_cancel(context::background());
    std::latch sent{1};
    std::promise<bool> closed;
    const ScriptedServer server([&](Socket& client) {
        client.send(head + "\r\n\r\n5\r\n01234");
        sent.count_down();
        closed.set_value(client.peer_has_closed());
    });
    auto result = start_get(ctx, server.url());
    sent.wait();
    REQUIRE(wait_for([&] { return client_has_read_all(server.port()); }));
    cancel();
    CHECK(closed.get_future().get());
    return result.get();
}

}  // namespace

TEST_CASE("a request gets status, headers and body") {
    const TestServer server(context::background(), [](const Context&, const httplib::Request& req,
                                                      httplib::Response& res) {
        res.status = 418;
        res.set_header("X-Tea", "Earl Grey");
        res.set_content(
            req.path + ' ' + req.get_param_value("a") + ' ' + req.get_header_value("X-Tracking-Id"),
            "text/plain");
    });
    HttpOptions options;
    options.headers.emplace("x-tracking-id", "42");
    const auto [response, error] =
        http_get(context::background(), server.url() + "/pot?a=1%2B1#top", options);
    CHECK_FALSE(error);
    CHECK(response.status == 418);
    CHECK(response.headers.find("x-tea")->second == "Earl Grey");
    CHECK(response.body == "/pot 1+1 42");
}

TEST_CASE("a path and a query are sent as they stand") {
    for (const std::string target :
         {"/a+b%2Fc/;,'~?q=+&x=%E2%82%AC?/", "/?q=%20+&&x=", "/?", "/%41?%41==&a"}) {
        CHECK(request_of("127.0.0.1", target).starts_with("GET " + target + " HTTP/1.1\r\n"));
    }
}

TEST_CASE("a request names its host as the URL does, an address of IPv6 in brackets") {
    for (const std::string host : {"127.0.0.1", "[::ffff:127.0.0.1]"}) {
        std::string port;
        const std::string request = request_of(host, "/", {}, &port);
        CHECK(request.find("\r\nHost: " + host + ':' + port + "\r\n") != std::string::npos);
    }
}

TEST_CASE("a text that is no URL fails in the request phase, and nothing is sent") {
    const Listener listener;
    const HttpResult result = http_get(context::background(), listener.url() + "/a b");
    REQUIRE(result.error);
    CHECK(result.error->phase == Phase::request);
    CHECK(message_of(result) ==
          "parse \"" + listener.url() + "/a b\": invalid character \" \" in URL");
    CHECK_FALSE(listener.has_client());
}

TEST_CASE("a context that is done sends nothing") {
    const Listener listener;
    auto [ctx, cancel] = context::with_cancel(context::background());
    cancel();
    const HttpResult result = http_get(ctx, listener.url());
    REQUIRE(result.error);
    CHECK(result.error->phase == Phase::response);
    CHECK(message_of(result) == "Get \"" + listener.url() + "\": context canceled");
    CHECK_FALSE(listener.has_client());
}

TEST_CASE("cancelling ends a request that is connecting, and does not hold up the canceller") {
    const FullListener server;
    auto [ctx, cancel] = context::with_cancel(context::background());
    auto result = start_get(ctx, server.url());
    REQUIRE(wait_for([&] { return has_client_socket(server.port(), TcpState::syn_sent); }));
    const auto before = std::chrono::steady_clock::now();
    cancel();
    CHECK(std::chrono::steady_clock::now() - before < 10s);  // the connect itself never ends
    REQUIRE(result.wait_for(10s) == std::future_status::ready);
    CHECK(message_of(result.get()) == "Get \"" + server.url() + "\": context canceled");
}

TEST_CASE("a cancel at any moment of connecting is never lost") {
    const FullListener server;
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int i = 0; i < 300; ++i) {
        auto [ctx, cancel] = context::with_cancel(context::background());
        auto result = start_get(ctx, server.url());
        const auto end = std::chrono::steady_clock::now() + random() % 300 * 1us;
        while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
        cancel();
        REQUIRE(result.wait_for(30s) == std::future_status::ready);
        REQUIRE(message_of(result.get()) == "Get \"" + server.url() + "\": context canceled");
    }
}

TEST_CASE("a stop shuts down the socket it was given, not a later one of the same number") {
    const Listener listener;
    Socket first = connect_to(listener.port());
    SocketStop stop;
    stop.watch(first.fd());
    const int number = first.fd();
    first.close();
    const Socket second = connect_to(listener.port());
    REQUIRE(second.fd() == number);
    stop.stop();
    listener.accept();
    const Socket accepted = listener.accept();
    second.send("still open\n");
    CHECK(accepted.read_until("\n") == "still open\n");
}

TEST_CASE("a socket that is stopped before it connects does not connect") {
    const Listener listener;
    SocketStop stop;
    stop.stop();
    const Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    stop.watch(socket.fd());
    CHECK_FALSE(connects(socket, listener.port()));
    CHECK_FALSE(listener.has_client());
}

TEST_CASE("a peer that waits for room to send learns at once that a socket was stopped") {
    const Listener listener;
    Socket socket = connect_to(listener.port());
    const Socket peer = listener.accept();
    std::string bytes(100'000, 'x');
    const auto has_room = [&] {
        return ::send(peer.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
    };
    REQUIRE(wait_for([&] { return !has_room() && asks_for_room(peer); }));
    {
        SocketStop stop;
        stop.watch(socket.fd());
        stop.stop();
        while (::recv(socket.fd(), bytes.data(), bytes.size(), 0) > 0) continue;
        socket.close();
    }
    CHECK(wait_for([&] { return !has_room() && errno != EAGAIN; }));
}

TEST_CASE("cancelling ends a request that waits for the answer, and closes its connection") {
    std::latch asked{1};
    std::promise<bool> closed;
    const ScriptedServer server([&](Socket& client) {
        asked.count_down();
        closed.set_value(client.peer_has_closed());
    });
    auto [ctx, cancel] = context::with_cancel(context::background());
    auto result = start_get(ctx, server.url());
    asked.wait();
    cancel();
    const HttpResult got = result.get();
    CHECK(message_of(got) == "Get \"" + server.url() + "\": context canceled");
    CHECK(got.error->phase == Phase::response);
    CHECK(closed.get_future().get());
}

TEST_CASE("cancelling ends a request in the middle of its headers") {
    std::latch sent{1};
    std::promise<bool> closed;
    const ScriptedServer server([&](Socket& client) {
        client.send("HTTP/1.1 200 OK\r\nContent-Le");
        sent.count_down();
        closed.set_value(client.peer_has_closed());
    });
    auto [ctx, cancel] = context::with_cancel(context::background());
    auto result = start_get(ctx, server.url());
    sent.wait();
    cancel();
    CHECK(message_of(result.get()) == "Get \"" + server.url() + "\": context canceled");
    CHECK(closed.get_future().get());
}

TEST_CASE("cancelling ends a request in the middle of its body, however that is framed") {
    for (const char* const framing :
         {"\r\nContent-Length: 1000", "\r\nTransfer-Encoding: chunked", ""}) {
        CAPTURE(framing);
        const HttpResult result = cancelled_in_body(std::string("HTTP/1.1 200 OK") + framing);
        REQUIRE(result.error);
        CHECK(result.error->phase == Phase::read);
        CHECK(message_of(result) == "context canceled");
        CHECK(result.response.body.empty());
    }
}

TEST_CASE("a deadline ends a request as a cancel does, with its own reason") {
    std::atomic<bool> asked = false;
    std::atomic<bool> closed = false;
    for (auto timeout = 20ms; !asked; timeout *= 2) {  // too short a one ends before it is asked
        const ScriptedServer server([&](Socket& client) {
            asked = true;
            closed = client.peer_has_closed();
        });
        const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
        const HttpResult result = http_get(ctx, server.url());
        CHECK(message_of(result) == "Get \"" + server.url() + "\": context deadline exceeded");
    }
    CHECK(closed);
}

TEST_CASE("a cancel at any moment of a request is never lost, and leaves nothing behind") {
    const auto handler = [](const Context& ctx, const httplib::Request&, httplib::Response&) {
        context::wait(ctx);
    };
    {
        const TestServer server(context::background(), handler);
        const auto [ctx, cancel] = context::with_timeout(context::background(), 20ms);
        CHECK(http_get(ctx, server.url()).error);  // the first deadline starts the timer thread
    }
    const int descriptors = open_descriptors();
    const int threads = running_threads();
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    TestServer server(context::background(), handler);
    for (int i = 0; i < 200; ++i) {
        auto [ctx, cancel] = context::with_cancel(context::background());
        auto result = start_get(ctx, server.url());
        const auto end = std::chrono::steady_clock::now() + random() % 1000 * 1us;
        while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
        cancel();
        REQUIRE(result.wait_for(30s) == std::future_status::ready);
        REQUIRE(message_of(result.get()) == "Get \"" + server.url() + "\": context canceled");
    }
    server.close();
    CHECK(open_descriptors() == descriptors);
    CHECK(wait_for([&] { return running_threads() == threads; }));
}

TEST_CASE("an error says whether the context aborted the call, and by a cancel or a deadline") {
    const TestServer server(context::background(), [](const Context& ctx, const httplib::Request&,
                                                      httplib::Response&) { context::wait(ctx); });
    const auto [late, cancel_late] = context::with_timeout(context::background(), 20ms);
    CHECK(http_get(late, server.url()).error->aborted == context::errc::deadline_exceeded);

    const auto [ctx, cancel] = context::with_cancel(context::background());
    const HttpResult refused = http_get(ctx, "http://127.0.0.1:1");
    const HttpResult unparsable = http_get(ctx, "no URL");
    cancel();
    CHECK_FALSE(refused.error->aborted);
    CHECK_FALSE(unparsable.error->aborted);
    CHECK(http_get(ctx, server.url()).error->aborted == context::errc::canceled);
    CHECK(cancelled_in_body("HTTP/1.1 200 OK\r\nContent-Length: 100").error->aborted ==
          context::errc::canceled);
}

TEST_CASE("two requests of one context are both ended by one cancel") {
    std::latch asked{2};
    const TestServer server(
        context::background(),
        [&asked](const Context& ctx, const httplib::Request&, httplib::Response&) {
            asked.count_down();
            context::wait(ctx);
        });
    auto [ctx, cancel] = context::with_cancel(context::background());
    auto one = start_get(ctx, server.url() + "/1");
    auto two = start_get(ctx, server.url() + "/2");
    asked.wait();
    cancel();
    CHECK(message_of(one.get()) == "Get \"" + server.url() + "/1\": context canceled");
    CHECK(message_of(two.get()) == "Get \"" + server.url() + "/2\": context canceled");
}

TEST_CASE("a refused connection is an error of the response phase") {
    Listener listener;
    const std::string url = listener.url();
    listener.close();
    const HttpResult result = http_get(context::background(), url);
    CHECK(result.error->phase == Phase::response);
    CHECK(message_of(result) == "Get \"" + url + "\": could not connect");
}

TEST_CASE("a connection that is reset or closed before the headers are in is an error") {
    for (const std::string answer : {"", "HTTP/1.1 200 OK\r\nContent-Len", "HTTP/1.1 200 OK\r\n"}) {
        for (const bool reset : {false, true}) {
            CAPTURE(answer);
            CAPTURE(reset);
            const ScriptedServer server([&](Socket& client) {
                client.send(answer);
                if (reset) client.reset();
            });
            const HttpResult result = http_get(context::background(), server.url());
            REQUIRE(result.error);
            CHECK(message_of(result) == "Get \"" + server.url() + "\": " + unreadable);
        }
    }
}

TEST_CASE("a body that is shorter than declared is an error of the read phase") {
    for (const std::string answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"}) {
        CAPTURE(answer);
        const HttpResult result = answer_of(answer);
        REQUIRE(result.error);
        CHECK(result.error->phase == Phase::read);
        CHECK(message_of(result) == "body ended early, after 10 bytes");
    }
}

TEST_CASE("an interim answer is an error, not a success") {
    const HttpResult result = answer_of("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    REQUIRE(result.error);
    CHECK(result.error->reason == "unsupported interim answer 103");
}

TEST_CASE("an answer that the library cannot read is not called a connection that ended") {
    for (const std::string& head :
         {"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + std::string(9000, 'x'),
          std::string("HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK")}) {
        CAPTURE(head);
        const HttpResult result = answer_of(head + "\r\n\r\n");
        REQUIRE(result.error);
        CHECK(result.error->reason == unreadable);
        CHECK(result.error->phase == Phase::response);
    }
}

TEST_CASE("chunks are found whatever the case of their headers") {
    const HttpResult result =
        answer_of("HTTP/1.1 200 OK\r\ntRANSFER-eNCODING: cHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    CHECK(message_of(result) == "no error");
    CHECK(result.response.body == "x");
}

TEST_CASE("a coding other than a single `chunked` is an error, not a success") {
    const std::string name = "Transfer-Encoding: ";
    for (const std::string& codings :
         {name + "gzip", name + "gzip, chunked", name + "chunked, chunked",
          name + "chunked\r\n" + name + "chunked", name + "chunked\r\n" + name + "gzip",
          name + "gzip\r\n" + name + "chunked", name + "chunked;x", name + "chunked%00x",
          name + std::string("chunked\0x", 9)}) {
        CAPTURE(codings);
        CHECK(answer_of("HTTP/1.1 200 OK\r\n" + codings + "\r\n\r\n3\r\nabc\r\n0\r\n\r\n").error);
    }
}

TEST_CASE("an answer that declares both a length and chunks is an error, not a success") {
    const std::string coding = "Transfer-Encoding: chunked\r\n", length = "Content-Length: 13\r\n";
    for (const std::string& both : {coding + length, length + coding}) {
        const auto [_, error] =
            answer_of("HTTP/1.1 200 OK\r\n" + both + "\r\n3\r\nabc\r\n0\r\n\r\n");
        REQUIRE(error);
        CHECK(error->reason == "both a Transfer-Encoding and a Content-Length");
    }
}

TEST_CASE(
    "a header whose name is not a token is an error: another reader may find a length in it") {
    for (const std::string& header :
         {std::string("Content-Length : 100"), std::string("Content-Length\t: 100"),
          std::string(" Content-Length: 100"), std::string("\tContent-Length: 100"),
          std::string("Content\0-Length: 100", 20), std::string("Content-Length\0: 100", 20),
          std::string("Transfer-Encoding : chunked"), std::string("Transfer(Encoding: chunked"),
          std::string("X Y: 1"), std::string("\xc3\xa9: 1"), std::string(": 1")}) {
        for (const char* const status : {"200 OK", "204 No Content", "304 Not Modified"}) {
            CAPTURE(header);
            CAPTURE(status);
            const HttpResult result = answer_of(std::string("HTTP/1.1 ") + status + "\r\n" +
                                                header + "\r\n\r\n0123456789");
            REQUIRE(result.error);
            CHECK(result.error->phase == Phase::response);
        }
    }
}

TEST_CASE("a Content-Length that is no number is an error") {
    for (const std::string length : {"abc", "12abc", "-1", "99999999999999999999", "+5", "0x5"}) {
        CAPTURE(length);
        const HttpResult result =
            answer_of("HTTP/1.1 200 OK\r\nContent-Length: " + length + "\r\n\r\n");
        REQUIRE(result.error);
        CHECK(result.error->reason == "bad Content-Length \"" + length + '"');
        CHECK(result.error->phase == Phase::response);
    }
    CHECK(
        answer_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n012345").error);
}

TEST_CASE("a malformed status line is an error") {
    for (const std::string line : {"HTTP/2 200 OK", "HTTP/1.1 20 OK", "nonsense", ""}) {
        CAPTURE(line);
        const HttpResult result = answer_of(line + "\r\n\r\n");
        REQUIRE(result.error);
        CHECK(result.error->phase == Phase::response);
        CHECK(result.error->reason == unreadable);
    }
}

TEST_CASE("a body without a declared length ends with its connection") {
    const auto [response, error] = answer_of("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    CHECK_FALSE(error);
    CHECK(response.body == "until the end");
}

TEST_CASE("a body may be as long as max_body, and not longer") {
    const std::string head = "HTTP/1.1 200 OK\r\n";
    for (const std::string& answer :
         {head + "Content-Length: 6\r\n\r\n123456",
          head + "Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n",
          head + "\r\n123456"}) {
        CAPTURE(answer);
        const auto [whole, no_error] = answer_of(answer, at_most(6));
        CHECK_FALSE(no_error);
        CHECK(whole.body == "123456");
        const auto [none, error] = answer_of(answer, at_most(5));
        REQUIRE(error);
        CHECK(error->phase == HttpError::Phase::read);
        CHECK(error->reason == "body is longer than 5 bytes");
        CHECK(none.body == "");
    }
}

TEST_CASE("an endless body ends the call at max_body, without a deadline") {
    for (const std::string head : {"\r\n", "Content-Length: 18446744073709551615\r\n\r\n"}) {
        CAPTURE(head);
        const ScriptedServer server([&](Socket& client) {
            client.send("HTTP/1.1 200 OK\r\n" + head);
            const std::string piece(100'000, 'x');
            while (::send(client.fd(), piece.data(), piece.size(), MSG_NOSIGNAL) > 0) continue;
        });
        const auto [response, error] =
            http_get(context::background(), server.url(), at_most(1'000'000));
        REQUIRE(error);
        CHECK(error->reason == "body is longer than 1000000 bytes");
    }
}

TEST_CASE("a connection that is reset before the end of a body is an error, of any body") {
    for (const std::string answer :
         {"HTTP/1.1 200 OK\r\n\r\n0123456789", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n0123456789"}) {
        CAPTURE(answer);
        const ScriptedServer server([&](Socket& client) {
            client.send(answer);
            client.reset();
        });
        const HttpResult result = http_get(context::background(), server.url());
        REQUIRE(result.error);
        CHECK(result.error->reason.starts_with("body ended early"));
    }
}

TEST_CASE("an answer that comes a byte at a time is whole") {
    for (const std::string answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n0\r\n\r\n",
          "HTTP/1.1 200 OK\r\n\r\nslow"}) {
        CAPTURE(answer);
        std::promise<int> server_port;
        const ScriptedServer server([&](Socket& client) {
            const int port = server_port.get_future().get();
            for (const char byte : answer) {
                wait_for([&] { return client_has_read_all(port); });
                client.send({byte});
            }
        });
        server_port.set_value(server.port());
        const auto [response, error] = http_get(context::background(), server.url());
        CHECK_FALSE(error);
        CHECK(response.body == "slow");
    }
}

TEST_CASE("endless headers end with the context, if the library sets no limit") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const ScriptedServer server([&cancel](Socket& client) {
        client.send("HTTP/1.1 200 OK\r\n");
        const std::string header = "X-Header: " + std::string(1000, 'x') + "\r\n";
        for (int sent = 0; ::send(client.fd(), header.data(), header.size(), MSG_NOSIGNAL) > 0;
             ++sent) {
            if (sent == 1000) cancel();
        }
    });
    const HttpResult result = http_get(ctx, server.url());
    REQUIRE(result.error);
    CHECK(result.error->phase == Phase::response);
}

TEST_CASE("a peer that resets while a large request is sent is an error, and no SIGPIPE ends us") {
    struct Restored {  // TestServer ignores the signal, for the whole process
        void (*before)(int) = std::signal(SIGPIPE, SIG_DFL);
        ~Restored() { std::signal(SIGPIPE, before); }
    } const restored;
    const Listener listener;
    std::jthread server([&] {
        Socket client = listener.accept();
        client.read_until("\r\n");
        ::shutdown(client.fd(), SHUT_WR);  // after that, a reset is EPIPE to the sender
        client.reset();
    });
    const HttpResult result = http_get(context::background(), listener.url(),
                                       {.headers = {{"X-Long", std::string(32'000'000, 'x')}}});
    REQUIRE(result.error);
    CHECK(result.error->phase == Phase::response);
}

TEST_CASE("a 304 has no body, whatever length it declares, and ends with its headers") {
    std::latch answered(1);
    const ScriptedServer server([&answered](Socket& client) {
        client.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"1\"\r\n\r\n");
        answered.wait();
    });
    const auto [response, error] = http_get(context::background(), server.url());
    answered.count_down();
    CHECK_FALSE(error);
    CHECK(response.status == 304);
    CHECK(response.headers.find("etag")->second == "\"1\"");
    CHECK(response.body.empty());
}

TEST_CASE("a header that would break the request is refused before anything is sent") {
    const Listener listener;
    for (const auto& [name, value] :
         {std::pair("X", "a\r\nY: b"), std::pair("X Y", "a"), std::pair("", "a"),
          std::pair("X", " a"), std::pair("X", "a\t"), std::pair("X", "a\x01"),
          std::pair("X", "\x7f")}) {
        const HttpResult result =
            http_get(context::background(), listener.url(), {.headers = {{name, value}}});
        REQUIRE(result.error);
        CHECK(result.error->reason.starts_with("invalid "));
    }
    CHECK_FALSE(listener.has_client());
}

TEST_CASE("a header that frames the request or decides its connection is refused") {
    const Listener listener;
    for (const std::string name : {"Host", "host", "Content-Length", "Transfer-Encoding", "TE",
                                   "trailer", "Connection", "Upgrade", "Expect"}) {
        CAPTURE(name);
        const HttpResult result =
            http_get(context::background(), listener.url(), {.headers = {{name, "5"}}});
        REQUIRE(result.error);
        CHECK(result.error->phase == Phase::response);
        CHECK(result.error->reason == "a caller may not set the header \"" + name + '"');
    }
    CHECK_FALSE(listener.has_client());
}
