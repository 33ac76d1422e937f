#include "client.hpp"

#include <doctest/doctest.h>

#include <iostream>
#include <sstream>

#include "net/test_server.hpp"
#include "tests/loopback.hpp"

using context::Context;

namespace {

// Printed catches what is printed on std::cout while it lives.
class Printed {
public:
    Printed() : before_(std::cout.rdbuf(text_.rdbuf())) {}
    Printed(const Printed&) = delete;
    Printed& operator=(const Printed&) = delete;
    ~Printed() { std::cout.rdbuf(before_); }
    std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
    std::streambuf* before_;
};

std::string printed_by_call(const Context& ctx, const std::string& url, bool fails) {
    const Printed printed;
    CHECK(call_server(ctx, "slow", url).has_value() == fails);
    return printed.text();
}

TestServer server_that_says(const std::string& text) {
    return TestServer(context::background(),
                      [text](const Context&, const httplib::Request&, httplib::Response& response) {
                          response.set_content(text, "text/plain");
                      });
}

}  // namespace

TEST_CASE("a call prints the result of the server") {
    const TestServer server = server_that_says("Slow response");
    CHECK(printed_by_call({}, server.url(), false) == "slow result: Slow response\n");
}

TEST_CASE("a call prints nothing for an empty result") {
    const TestServer server = server_that_says("");
    CHECK(printed_by_call({}, server.url(), false) == "");
}

TEST_CASE("the result \"error\" is an error that cancels") {
    const TestServer server = server_that_says("error");
    CHECK(printed_by_call({}, server.url(), true) == "slow result: error\ncancelling from slow\n");
}

TEST_CASE("a call to what is no URL is reported as a request error") {
    CHECK(printed_by_call({}, "no url", true) ==
          "slow request err: parse \"no url\": missing protocol scheme\n");
}

TEST_CASE("a call that ends before the headers are in is reported as a response error") {
    auto [ctx, cancel] = context::with_cancel(context::background());
    cancel();
    CHECK(printed_by_call(ctx, "http://127.0.0.1:1", true) ==
          "slow response err: Get \"http://127.0.0.1:1\": context canceled\n");
}

TEST_CASE("a call that ends after the headers are in is reported as a read error") {
    const ScriptedServer server(
        [](Socket& client) { client.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"); });
    CHECK(printed_by_call({}, server.url(), true) ==
          "slow read err: body ended early, after 4 bytes\n");
}

TEST_CASE("an error of either call cancels the other one") {
    const TestServer failing = server_that_says("error");
    const TestServer waiting(context::background(), [](const Context& ctx, const httplib::Request&,
                                                       httplib::Response&) { context::wait(ctx); });
    SUBCASE("of the fast one") {
        const Printed printed;
        call_both({}, "true", waiting.url(), failing.url());
        CHECK(printed.text() ==
              "fast result: error\ncancelling from fast\nslow response err: Get \"" +
                  waiting.url() + "\": context canceled\ndone with both\n");
    }
    SUBCASE("of the slow one") {
        const Printed printed;
        call_both({}, "true", failing.url(), waiting.url());
        CHECK(printed.text() ==
              "slow result: error\ncancelling from slow\nfast response err: Get \"" +
                  waiting.url() + "?error=true\": context canceled\ndone with both\n");
    }
}
