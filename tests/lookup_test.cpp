#include "net/lookup.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"
#include "tests/replaced_getaddrinfo.hpp"
#include "tests/run_program.hpp"

using context::background;
using context::Context;

namespace {

// Lookups waits at the end of a test until the threads that looked up names have ended.
struct Lookups {
    Lookups() {
        std::jthread([] {}).join();  // the sanitizer for threads starts one of its own with it
        threads = running_threads();
    }
    ~Lookups() {
        CHECK(wait_for([this] { return running_threads() <= threads; }));
    }

    int threads = 0;
};

std::vector<std::string> addresses_of(const std::string& host) {
    return lookup(background(), host).addresses;
}

std::future<Lookup> start_lookup(const Context& ctx, const std::string& host) {
    return std::async(std::launch::async, [ctx, host] { return lookup(ctx, host); });
}

std::string with_host(const std::string& host, int port) {
    return "http://" + host + ':' + std::to_string(port);
}

void answer_with_host(const Context&, const httplib::Request& request,
                      httplib::Response& response) {
    response.set_content(request.get_header_value("Host"), "text/plain");
}

int port_of(const TestServer& server) {
    return std::stoi(server.url().substr(server.url().rfind(':') + 1));
}

}  // namespace

TEST_CASE_FIXTURE(Lookups,
                  "an address is its own answer, and localhost is known: no one is asked") {
    const int asked = names::asked;
    using Addresses = std::vector<std::string>;
    CHECK(addresses_of("127.0.0.1") == Addresses{"127.0.0.1"});
    CHECK(addresses_of("127.1") == Addresses{"127.0.0.1"});
    CHECK(addresses_of("0:0::1") == Addresses{"::1"});
    CHECK(addresses_of("localhost") == Addresses{"::1", "127.0.0.1"});
    CHECK(addresses_of("LocalHost") == Addresses{"::1", "127.0.0.1"});
    CHECK(names::asked == asked);
}

TEST_CASE_FIXTURE(Lookups,
                  "a request tries each address of a host, and its Host header is the name") {
    const TestServer server(background(), answer_with_host);
    const int asked = names::asked;
    for (const std::string host : {"localhost", "two.test", "127.0.0.1"}) {
        CAPTURE(host);
        const auto [response, error] = http_get(background(), with_host(host, port_of(server)));
        REQUIRE_FALSE(error);
        CHECK(response.body == host + ':' + std::to_string(port_of(server)));
    }
    CHECK(names::asked == asked + 1);  // by lookup alone, not by the library
}

TEST_CASE_FIXTURE(Lookups,
                  "a request to a host without a server fails once every address has refused it") {
    Listener listener;
    const std::string url = with_host("two.test", listener.port());
    listener.close();
    const HttpResult result = http_get(background(), url);
    REQUIRE(result.error);
    CHECK(result.error->message() == "Get \"" + url + "\": could not connect");
}

TEST_CASE_FIXTURE(Lookups,
                  "cancelling aborts a request that connects to the second address of a host") {
    const FullListener server;  // at 127.0.0.1: 127.0.0.2 refuses
    auto [ctx, cancel] = context::with_cancel(background());
    auto result = std::async(std::launch::async, [&shared = ctx, &server] {
        return http_get(shared, with_host("two.test", server.port()));
    });
    REQUIRE(wait_for([&] { return has_client_socket(server.port(), TcpState::syn_sent); }));
    cancel();
    const auto error = result.get().error;
    REQUIRE(error);
    CHECK(error->reason == "context canceled");
}

TEST_CASE_FIXTURE(
    Lookups, "an unknown host is an error of the response phase, told from a refused connection") {
    const HttpResult result = http_get(background(), "http://unknown.test/");
    REQUIRE(result.error);
    CHECK(result.error->phase == HttpError::Phase::response);
    CHECK(result.error->message() ==
          "Get \"http://unknown.test/\": could not look up \"unknown.test\": "
          "Name or service not known");
}

TEST_CASE_FIXTURE(Lookups, "a lookup that fails in the system says what the system says") {
    CHECK(lookup(background(), "files.test").error ==
          "could not look up \"files.test\": Too many open files");
    CHECK_THROWS_AS(lookup(background(), "memory.test"), std::bad_alloc);
}

TEST_CASE_FIXTURE(
    Lookups, "cancelling aborts a request that looks up its host, and its thread ends by itself") {
    auto [ctx, cancel] = context::with_cancel(background());
    auto result = std::async(std::launch::async,
                             [&shared = ctx] { return http_get(shared, "http://silent.test/"); });
    REQUIRE(wait_for([] { return names::silent == 1; }));
    CHECK(names::signals_blocked);
    cancel();
    CHECK(result.get().error->message() == "Get \"http://silent.test/\": context canceled");
    CHECK(names::silent == 1);
    names::answer(1);
}

TEST_CASE_FIXTURE(Lookups, "a lookup whose context is done asks no one") {
    const int asked = names::asked;
    auto [ctx, cancel] = context::with_cancel(background());
    cancel();
    CHECK(lookup(ctx, "silent.test").error == "context canceled");
    CHECK(names::asked == asked);
}

TEST_CASE_FIXTURE(
    Lookups,
    "64 threads look up names; further lookups wait for one of them, or for their context") {
    auto [ctx, cancel] = context::with_cancel(background());
    std::vector<std::future<Lookup>> abandoned;
    for (int i = 0; i < 64; ++i) abandoned.push_back(start_lookup(ctx, "silent.test"));
    REQUIRE(wait_for([] { return names::silent == 64; }));
    cancel();
    for (auto& result : abandoned) CHECK(result.get().error == "context canceled");

    const int asked = names::asked;
    auto [impatient, give_up] = context::with_cancel(background());
    auto aborted = start_lookup(impatient, "two.test");
    auto first = start_lookup(background(), "two.test");
    auto second = start_lookup(background(), "two.test");
    CHECK(addresses_of("127.0.0.1").size() == 1);
    give_up();
    CHECK(aborted.get().error == "context canceled");
    CHECK(names::asked == asked);
    names::answer(1);
    CHECK(first.get().addresses.size() == 2);
    CHECK(second.get().addresses.size() == 2);
    names::answer(63);
}

TEST_CASE("a lookup whose thread cannot be started is an error; one without memory throws") {
    CHECK(run_program("lookup_faults") == "ok\n");
}

TEST_CASE("a process ends cleanly while 64 threads look up names") {
    CHECK(run_program("exit_during_lookups") == "64 lookups aborted\nstatics destroyed\n");
}

TEST_CASE("a timeout of 300 ms aborts a request though the name server never answers") {
    const std::string output = run_program("silent_name_server");
    if (output.starts_with("skipped: ")) {
        MESSAGE(output);
    } else {
        CHECK(output == "ok\n");
    }
}
