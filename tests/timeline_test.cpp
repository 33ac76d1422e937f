#include "trace/timeline.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <regex>
#include <string>
#include <thread>

using context::Context;
using Step = HttpEvent::Step;

namespace {

const std::string slow_url = "http://127.0.0.1:2";
const std::string fast_url = "http://127.0.0.1:1";

// on_a_thread takes the steps on a thread of its own, which ends.
template <class F>
void on_a_thread(F f) {
    std::jthread{f};
}

// cancelled_run takes the steps of `context_cancel true`, one after the other.
void cancelled_run(Timeline& timeline) {
    const Context slow_parent = timeline.traced(Timeline::slow_server);
    const Context fast_parent = timeline.traced(Timeline::fast_server);
    const Context calls = timeline.traced(Timeline::main);
    const HttpTracer slow_server(slow_parent, slow_url), fast_server(fast_parent, fast_url);
    const std::string query = fast_url + "?error=true";
    const HttpTracer slow_call(calls, slow_url), fast_call(calls, query);

    slow_server(Step::listening);
    fast_server(Step::listening);
    on_a_thread([&] {
        slow_call(Step::call_started);
        slow_call(Step::connecting);
    });
    on_a_thread([&] { slow_server(Step::got_request); });
    on_a_thread([&] {
        fast_call(Step::call_started);
        on_a_thread([&] { fast_server(Step::got_request); });
        fast_call(Step::got_response);
        fast_call(Step::call_returned);
        slow_call(Step::call_stopped, context::errc::canceled);
    });
    slow_call(Step::call_aborted, context::errc::canceled);
    slow_server(Step::closing);
    slow_server(Step::handler_stopped, context::errc::canceled);
    slow_server(Step::handler_returned, context::errc::canceled);
    slow_server(Step::closed);
}

std::string drawn(const Timeline& timeline) {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file);
    timeline.draw(file);
    std::rewind(file);
    std::string text;
    for (int c = std::getc(file); c != EOF; c = std::getc(file)) text += static_cast<char>(c);
    std::fclose(file);
    return std::regex_replace(text, std::regex(R"( +\d+\.\d\d)"), "    0.00");
}

}  // namespace

TEST_CASE("a run is drawn with a lane for each actor, and who cancels whom") {
    Timeline timeline(true);
    cancelled_run(timeline);
    CHECK(drawn(timeline) == 1 + R"(
      ms  fast server   fast client   main          slow client   slow server
    0.00                              starts -------------------> listening
    0.00  listening <---------------- starts                      |
    0.00  |                           |             starts        |
    0.00  |                           |             connects      |
    0.00  |                           |             sent -------> received
    0.00  |             starts        |             |             |
    0.00  received <--- sent          |             |             |
    0.00  sent -------> received      |             |             |
    0.00                done          |             |             |
    0.00                cancels ------------------> stopped       |
    0.00                              |             aborted       |
    0.00                              closes -------------------> closing
    0.00                              cancels ------------------> stopped
    0.00                                                          gives up
    0.00                                                          closed
)");
}

TEST_CASE("a stop that comes from nobody's thread is drawn without one") {
    Timeline timeline(true);
    const Context parent = timeline.traced(Timeline::slow_server);
    const Context calls = timeline.traced(Timeline::main);
    HttpTracer(parent, slow_url)(Step::listening);
    const HttpTracer call(calls, slow_url);
    on_a_thread([&] {
        call(Step::call_started);
        on_a_thread([&] { call(Step::call_stopped, context::errc::deadline_exceeded); });
    });
    CHECK(drawn(timeline) == 1 + R"(
      ms  fast server   fast client   main          slow client   slow server
    0.00                              starts -------------------> listening
    0.00                                            starts
    0.00                                            deadline
)");
}

TEST_CASE("a call to a server that is not watched is not drawn") {
    Timeline timeline(true);
    const Context parent = timeline.traced(Timeline::slow_server);
    const Context calls = timeline.traced(Timeline::main);
    HttpTracer(parent, slow_url)(Step::listening);
    const std::string another = slow_url + "2/";
    HttpTracer(calls, another)(Step::call_started);
    CHECK(drawn(timeline).find("client  ") != std::string::npos);
    CHECK(drawn(timeline).find("0.00                                            ") ==
          std::string::npos);
}

TEST_CASE("more steps than a picture holds are forgotten, and a picture that is off has none") {
    Timeline timeline(true), off(false);
    for (Timeline* const each : {&timeline, &off}) {
        const Context parent = each->traced(Timeline::slow_server);
        for (int i = 0; i < 2000; ++i) HttpTracer(parent, slow_url)(Step::listening);
    }
    const std::string picture = drawn(timeline);
    CHECK(std::ranges::count(picture, '\n') == 1001);
    CHECK(drawn(off) == "");
}
