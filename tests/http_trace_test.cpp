#include "net/http_trace.hpp"

#include <doctest/doctest.h>

#include <latch>
#include <mutex>
#include <thread>
#include <vector>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

using context::Context;
using Step = HttpEvent::Step;
using Steps = std::vector<Step>;

namespace {

// Record is told of the steps of one side.
struct Record {
    std::mutex mutex;
    Steps steps;
    std::vector<std::thread::id> threads;
    std::vector<std::error_code> errors;

    Context watched() {
        return context::with_value(context::background(), http_trace,
                                   [this](const HttpEvent& event) {
                                       const std::lock_guard lock(mutex);
                                       steps.push_back(event.step);
                                       threads.push_back(std::this_thread::get_id());
                                       errors.push_back(event.ctx.err());
                                   });
    }
};

void answer_ok(const Context&, const httplib::Request&, httplib::Response& response) {
    response.set_content("ok", "text/plain");
}

}  // namespace

TEST_CASE("a trace is told of each step of a call, and of the server that answers it") {
    Record client, server;
    {
        const TestServer answering(server.watched(), answer_ok);
        CHECK(http_get(client.watched(), answering.url()).response.body == "ok");
    }
    CHECK(client.steps ==
          Steps{Step::call_started, Step::connecting, Step::got_response, Step::call_returned});
    CHECK(server.steps == Steps{Step::listening, Step::got_request, Step::handler_returned,
                                Step::closing, Step::closed});
}

TEST_CASE("a trace is told of a stop before the call is aborted, on the thread that cancels") {
    Record client;
    const auto [ctx, cancel] = context::with_cancel(client.watched());
    const ScriptedServer server([&](Socket& connection) {
        std::jthread([&] { cancel(); }).join();
        CHECK(connection.peer_has_closed());
    });
    CHECK(http_get(ctx, server.url()).error->reason == "context canceled");
    CHECK(client.steps ==
          Steps{Step::call_started, Step::connecting, Step::call_stopped, Step::call_aborted});
    CHECK(client.threads[2] != client.threads[1]);
    CHECK(client.threads[3] == client.threads[1]);
    CHECK(client.errors[2] == context::errc::canceled);
    CHECK(client.errors[3] == context::errc::canceled);
}

TEST_CASE("a trace is told that a call failed") {
    Record client;
    CHECK(http_get(client.watched(), "ftp://127.0.0.1").error);
    CHECK(client.steps == Steps{Step::call_started, Step::call_failed});
}

TEST_CASE("a trace is told that a handler was stopped by the close of its server") {
    Record watched;
    std::jthread client;
    {
        std::latch arrived(1);
        const TestServer server(
            watched.watched(),
            [&](const Context& handler, const httplib::Request&, httplib::Response&) {
                arrived.count_down();
                context::wait(handler);
            });
        client = std::jthread([url = server.url()] { (void)http_get(context::background(), url); });
        arrived.wait();
    }
    CHECK(watched.steps == Steps{Step::listening, Step::got_request, Step::closing,
                                 Step::handler_stopped, Step::handler_returned, Step::closed});
    CHECK(watched.threads[3] == std::this_thread::get_id());
    CHECK(watched.errors[4] == context::errc::canceled);
}

TEST_CASE("a trace is told that a handler was stopped by its client, before the handler wakes") {
    Record client, server;
    std::latch arrived(1);
    {
        const TestServer answering(
            server.watched(),
            [&](const Context& handler, const httplib::Request&, httplib::Response&) {
                const std::stop_callback wakes(handler.done(), [&] {
                    const std::lock_guard lock(server.mutex);
                    CHECK(server.steps.back() == Step::handler_stopped);
                });
                arrived.count_down();
                context::wait(handler);
                CHECK(cause(handler) == std::errc::connection_aborted);
            });
        const auto [ctx, cancel] = context::with_cancel(client.watched());
        const std::jthread call(
            [&, &shared = ctx] { CHECK(http_get(shared, answering.url()).error); });
        arrived.wait();
        cancel();
        CHECK(wait_for([&] {
            const std::lock_guard lock(server.mutex);
            return server.steps.back() == Step::handler_returned;
        }));
    }
    CHECK(server.steps == Steps{Step::listening, Step::got_request, Step::handler_stopped,
                                Step::handler_returned, Step::closing, Step::closed});
    CHECK(server.threads[2] != server.threads[3]);
    CHECK(server.errors[2] == context::errc::canceled);
}

TEST_CASE(
    "a call that its context had ended before is told of as stopped, and connects to nobody") {
    Record client;
    const auto [ctx, cancel] = context::with_cancel(client.watched());
    cancel();
    CHECK(http_get(ctx, "http://127.0.0.1:1").error);
    CHECK(client.steps == Steps{Step::call_started, Step::call_stopped, Step::call_aborted});
}

TEST_CASE("a handler that returns before its stop has come to it is told of as stopped before") {
    std::latch arrived(1), returned(1);
    std::vector<Step> steps;  // of one thread after the other
    const Context watched =
        context::with_value(context::background(), http_trace, [&](const HttpEvent& event) {
            steps.push_back(event.step);
            if (event.step == Step::handler_returned) returned.count_down();
        });
    const auto [parent, cancel] = context::with_cancel(watched);
    const std::stop_callback comes_first(parent.done(), [&] { returned.wait(); });
    std::jthread client;
    {
        const TestServer server(
            parent, [&](const Context& handler, const httplib::Request&, httplib::Response&) {
                arrived.count_down();
                while (!handler.err()) std::this_thread::yield();
            });
        client = std::jthread([url = server.url()] { (void)http_get(context::background(), url); });
        arrived.wait();
        cancel();
    }
    CHECK(steps == Steps{Step::listening, Step::got_request, Step::handler_stopped,
                         Step::handler_returned, Step::closing, Step::closed});
}

TEST_CASE("an empty trace switches the outer one off") {
    Record client;
    const Context untold = context::with_value(client.watched(), http_trace, nullptr);
    CHECK(http_get(untold, "http://127.0.0.1:1").error);
    CHECK(client.steps.empty());
}
