#include "trace/timeline.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using context::Context;
using Step = HttpEvent::Step;

namespace {

const std::string slow_url = "http://127.0.0.1:2";
const std::string fast_url = "http://127.0.0.1:1";

// Clock goes on by a tenth of a millisecond each time it is asked.
struct Clock {
    Timeline::Clock::time_point now = Timeline::Clock::time_point(1h);
    Timeline::Clock::time_point operator()() { return now += 100us; }
};

// on_a_thread takes the steps on a thread of its own, which ends.
void on_a_thread(const std::function<void()>& steps) { std::jthread{steps}; }

void tell(const Context& ctx, const std::string& url, std::initializer_list<Step> steps) {
    for (const Step step : steps) HttpTracer(ctx, url)(step);
}

std::string drawn(const Timeline& timeline) {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file);
    timeline.draw(file);
    std::rewind(file);
    std::string text;
    for (int c = std::getc(file); c != EOF; c = std::getc(file)) text += static_cast<char>(c);
    std::fclose(file);
    return text;
}

}  // namespace

TEST_CASE("a run is drawn with a lane for each actor, and who cancels whom") {
    Timeline timeline(true, Clock());
    const Context slow = timeline.traced(Timeline::Actor::slow_server);
    const Context fast = timeline.traced(Timeline::Actor::fast_server);
    const auto [handler, close] = context::with_cancel(slow);
    const auto [calls, cancel] = context::with_cancel(timeline.traced(Timeline::Actor::main));
    tell(slow, slow_url, {Step::listening});
    tell(fast, fast_url, {Step::listening});
    on_a_thread([&] { tell(calls, slow_url, {Step::call_started, Step::connecting}); });
    on_a_thread([&] { tell(handler, slow_url, {Step::got_request}); });
    const auto stop = [&] { tell(calls, slow_url, {Step::call_stopped}); };
    const std::stop_callback on_stop(calls.done(), stop);
    on_a_thread([&] {
        tell(calls, fast_url + "?error=true", {Step::call_started});
        on_a_thread([&] { tell(fast, fast_url, {Step::got_request}); });
        tell(calls, fast_url, {Step::got_response, Step::call_returned});
        cancel();
    });
    tell(calls, slow_url, {Step::call_aborted});
    tell(slow, slow_url, {Step::closing});
    close();
    tell(handler, slow_url, {Step::handler_stopped, Step::handler_returned});
    tell(slow, slow_url, {Step::closed});
    CHECK("\n" + drawn(timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts                      |
    0.30  |                           |             starts        |
    0.40  |                           |             connects      |
    0.50  |                           |             sent -------> received
    0.60  |             starts        |             |             |
    0.70  received <--- sent          |             |             |
    0.80  sent -------> received      |             |             |
    0.90                done          |             |             |
    1.00                cancels ------------------> stopped       |
    1.10                              |             aborted       |
    1.20                              closes -------------------> closing
    1.30                              cancels ------------------> stopped
    1.40                                                          returns
    1.50                                                          closed
)");
}

TEST_CASE("a cancel that reaches no call is drawn, too") {
    Timeline timeline(true, Clock());
    tell(timeline.traced(Timeline::Actor::slow_server), slow_url, {Step::listening});
    const auto [calls, cancel] = context::with_cancel(timeline.traced(Timeline::Actor::main));
    on_a_thread([&] { tell(calls, slow_url, {Step::call_started, Step::call_returned}); });
    cancel();
    CHECK("\n" + drawn(timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20                              |             starts
    0.30                              |             done
    0.40                              cancels
)");
}

TEST_CASE("a stop that comes from nobody's thread is drawn without one") {
    Timeline timeline(true, Clock());
    tell(timeline.traced(Timeline::Actor::slow_server), slow_url, {Step::listening});
    const auto [calls, cancel] = context::with_timeout(timeline.traced(Timeline::Actor::main), 0s);
    on_a_thread([&, &ctx = calls] {
        tell(ctx, slow_url, {Step::call_started});
        on_a_thread([&] { tell(ctx, slow_url, {Step::call_stopped}); });
    });
    CHECK("\n" + drawn(timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20                                            starts
    0.30                                            deadline
)");
}

TEST_CASE("who has the number of a thread that has ended is not taken for it") {
    Timeline timeline(true, Clock());
    const Context fast = timeline.traced(Timeline::Actor::fast_server);
    tell(fast, fast_url, {Step::listening});
    tell(timeline.traced(Timeline::Actor::slow_server), slow_url, {Step::listening});
    const auto [calls, cancel] = context::with_cancel(timeline.traced(Timeline::Actor::main));
    tell(fast, fast_url, {Step::got_request});
    tell(calls, fast_url, {Step::call_started});
    tell(calls, slow_url, {Step::call_stopped});
    const std::string picture = drawn(timeline);
    CHECK(picture.find("    0.50                cancels ------------------> stopped\n") !=
          std::string::npos);
}

TEST_CASE("a long pause is a line of colons, where anybody is there to pause") {
    Clock clock;
    Timeline timeline(true, std::ref(clock));
    clock.now += 1s;
    const Context server = timeline.traced(Timeline::Actor::slow_server);
    tell(server, slow_url, {Step::listening});
    clock.now += 1h;
    tell(server, slow_url, {Step::closing});
    clock.now += 50ms;
    tell(server, slow_url, {Step::closed});
    CHECK("\n" + drawn(timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
 1000.10                              starts -------------------> listening
                                      :                           :
 3601000                              closes -------------------> closing
                                                                  :
 3601050                                                          closed
)");
}

TEST_CASE("a call to a server that is not watched is not drawn") {
    Timeline timeline(true, Clock());
    tell(timeline.traced(Timeline::Actor::slow_server), slow_url, {Step::listening});
    const Context calls = timeline.traced(Timeline::Actor::main);
    tell(calls, slow_url + "2/", {Step::call_started});
    tell(calls, slow_url + "/path", {Step::connecting});
    CHECK("\n" + drawn(timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20                                            connects
)");
}

TEST_CASE("a picture that is too long ends with a word of it, and one that is off is empty") {
    Timeline timeline(true), off(false);
    for (Timeline* const each : {&timeline, &off}) {
        const Context parent = each->traced(Timeline::Actor::slow_server);
        for (int i = 0; i < 2000; ++i) tell(parent, slow_url, {Step::listening});
    }
    const std::string picture = drawn(timeline);
    CHECK(std::ranges::count(picture, '\n') == 1002);
    CHECK(picture.ends_with("\n(there was more)\n"));
    CHECK(drawn(off) == "");
}
