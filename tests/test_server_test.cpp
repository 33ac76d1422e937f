#include "net/test_server.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <latch>
#include <stdexcept>
#include <vector>

#include "net/http_get.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;
using context::Context;
using httplib::Request;
using httplib::Response;

namespace {

void answer_ok(const Context&, const Request&, Response& response) {
    response.set_content("ok", "text/plain");
}

int port_of(const TestServer& server) {
    return std::stoi(server.url().substr(server.url().rfind(':') + 1));
}

constexpr auto not_the_library_s_five_seconds = 3s;

std::chrono::steady_clock::duration time_to_close(TestServer& server) {
    const auto before = std::chrono::steady_clock::now();
    server.close();
    return std::chrono::steady_clock::now() - before;
}

}  // namespace

TEST_CASE("a server accepts requests when its constructor returns") {
    for (int i = 0; i < 20; ++i) {
        const TestServer server(context::background(), answer_ok);
        CHECK(server.url().starts_with("http://127.0.0.1:"));
        CHECK(http_get(context::background(), server.url()).response.body == "ok");
    }
}

TEST_CASE("a server that was started can be closed at once, and closed again") {
    for (int i = 0; i < 20; ++i) {
        TestServer server(context::background(), answer_ok);
        const std::string url = server.url();
        server.close();
        server.close();
        CHECK(server.url() == url);
        CHECK(http_get(context::background(), url).error->reason == "could not connect");
    }
}

TEST_CASE("servers listen on 127.0.0.1 and nowhere else") {
    const TestServer one(context::background(), answer_ok);
    const TestServer two(context::background(), answer_ok);
    const auto sockets = listening_sockets();
    REQUIRE(sockets.size() == 2);
    for (const auto& socket : sockets) CHECK(socket.address == "127.0.0.1");
}

TEST_CASE("a thousand clients may wait to be accepted, unless the system allows fewer") {
    const TestServer server(context::background(), answer_ok);
    unsigned most = 0;
    std::ifstream("/proc/sys/net/core/somaxconn") >> most;
    const auto sockets = listening_sockets();
    REQUIRE(sockets.size() == 1);
    CHECK(sockets.front().backlog >= std::min(most, 1000U));
}

TEST_CASE("a handler sees every path and method") {
    const TestServer server(
        context::background(), [](const Context&, const Request& request, Response& response) {
            response.set_content(
                request.method + ' ' + std::to_string(request.path.size()) + ' ' + request.body,
                "text/plain");
        });
    const std::string path = '/' + std::string(200, 'x');
    CHECK(http_get(context::background(), server.url() + path).response.body == "GET 201 ");
    CHECK(http_get(context::background(), server.url() + "/%0A").response.body == "GET 2 ");
    const Socket client = connect_to(port_of(server));
    client.send("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
    CHECK(client.read_until("POST 1 body").ends_with("POST 1 body"));
}

TEST_CASE("a handler that throws answers 500, and the server goes on") {
    const TestServer server(context::background(),
                            [](const Context&, const Request& request, Response& response) {
                                if (request.path == "/throw") throw std::runtime_error("thrown");
                                response.set_content("ok", "text/plain");
                            });
    CHECK(http_get(context::background(), server.url() + "/throw").response.status == 500);
    CHECK(http_get(context::background(), server.url()).response.body == "ok");
}

TEST_CASE("the context of a handler ends when the handler returns") {
    std::promise<Context> seen;
    const TestServer server(context::background(),
                            [&](const Context& ctx, const Request&, Response&) {
                                CHECK_FALSE(ctx.err());
                                seen.set_value(ctx);
                            });
    CHECK_FALSE(http_get(context::background(), server.url()).error);
    CHECK(context::wait(seen.get_future().get()) == context::errc::canceled);
}

TEST_CASE("the end of its parent tells a server's handlers why, and later requests get 503") {
    const auto [parent, cancel] = context::with_cancel(context::background());
    std::latch at_work(1);
    const TestServer server(parent, [&](const Context& ctx, const Request&, Response& response) {
        at_work.count_down();
        context::wait(ctx);
        response.set_content(cause(ctx).message(), "text/plain");
    });
    auto told = std::async([&] { return http_get(context::background(), server.url()); });
    at_work.wait();
    const auto why = std::make_error_code(std::errc::owner_dead);
    cancel(why);
    CHECK(told.get().response.body == why.message());
    CHECK(http_get(context::background(), server.url()).response.status == 503);
}

TEST_CASE("closing ends the handlers that wait on their context, and drops what is queued") {
    std::atomic<int> handlers{0};
    std::latch first{1};
    TestServer server(context::background(), [&](const Context& ctx, const Request&, Response&) {
        if (++handlers == 1) first.count_down();
        context::wait(ctx);
    });
    std::vector<Socket> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(connect_to(port_of(server)));
        clients.back().send("GET / HTTP/1.1\r\n\r\n");
    }
    first.wait();
    CHECK(time_to_close(server) < not_the_library_s_five_seconds);
    CHECK(handlers < 100);
}

TEST_CASE("closing does not wait for connections that idle after their answer") {
    TestServer server(context::background(), answer_ok);
    std::vector<Socket> clients;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(connect_to(port_of(server)));
        clients.back().send("GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n");
        CHECK(clients.back().read_until("ok").ends_with("ok"));
    }
    CHECK(time_to_close(server) < not_the_library_s_five_seconds);
}

TEST_CASE("closing waits only briefly for a client that is silent or has sent half a request") {
    for (const std::string sent : {"", "GET / HTT", "GET / HTTP/1.1\r\nHost:"}) {
        CAPTURE(sent);
        TestServer server(context::background(), answer_ok);
        const Socket client = connect_to(port_of(server));
        client.send(sent);
        CHECK(http_get(context::background(), server.url()).response.body == "ok");
        CHECK(time_to_close(server) < not_the_library_s_five_seconds);
    }
}

TEST_CASE("hundreds of clients at once are all answered") {
    const TestServer server(context::background(), answer_ok);
    std::vector<Socket> clients;
    for (int i = 0; i < 300; ++i) {
        clients.push_back(connect_to(port_of(server)));
        clients.back().send("GET / HTTP/1.1\r\n\r\n");
    }
    for (const Socket& client : clients) CHECK(client.read_until("ok").ends_with("ok"));
}

TEST_CASE("a server can be moved") {
    TestServer first(context::background(), answer_ok);
    const TestServer server = std::move(first);
    CHECK(http_get(context::background(), server.url()).response.body == "ok");
}

TEST_CASE("a closed server leaves no descriptor and no thread behind") {
    {
        const TestServer warm_up(context::background(), answer_ok);
    }
    const int descriptors = open_descriptors();
    const int threads = running_threads();
    {
        const TestServer server(context::background(), answer_ok);
        CHECK_FALSE(http_get(context::background(), server.url()).error);
    }
    CHECK(open_descriptors() == descriptors);
    CHECK(wait_for([&] { return running_threads() == threads; }));
}
