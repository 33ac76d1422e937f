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

// Run has both servers listening, the slow one first.
struct Run {
    Timeline timeline{true, Clock()};
    const Context root = timeline.root();
    const context::Cancellable calls = context::with_cancel(root);

    Run() {
        tell(root, slow_url, {Step::listening});
        tell(root, fast_url, {Step::listening});
    }
};

}  // namespace

TEST_CASE("a run is drawn with a lane for each actor, and who cancels whom") {
    Run run;
    const Context& calls = run.calls.ctx;
    const auto [handler, close] = context::with_cancel(run.root);
    on_a_thread([&] { tell(calls, slow_url, {Step::call_started, Step::connecting}); });
    on_a_thread([&, &ctx = handler] { tell(ctx, slow_url, {Step::got_request}); });
    const auto stop = [&] { tell(calls, slow_url, {Step::call_stopped}); };
    const std::stop_callback on_stop(calls.done(), stop);
    on_a_thread([&] {
        tell(calls, fast_url + "?error=true", {Step::call_started});
        on_a_thread([&] { tell(run.root, fast_url, {Step::got_request}); });
        tell(calls, fast_url, {Step::got_response, Step::call_returned});
        run.calls.cancel();
    });
    tell(calls, slow_url, {Step::call_aborted});
    tell(run.root, slow_url, {Step::closing});
    close();
    tell(handler, slow_url, {Step::handler_stopped, Step::handler_returned});
    tell(run.root, slow_url, {Step::closed});
    CHECK("\n" + drawn(run.timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts                      |
    0.30  |                           |             starts        |
    0.40  |                           |             connects      |
    0.50  |                           |             sent -------> received
    0.60  |             starts        |             |             |
    0.70  received <--- sent          |             |             |
    0.80  sent -------> received      |             |             |
    0.90                returned      |             |             |
    1.10                cancels ------------------> stopped       |
    1.40                              |             aborted       |
    1.50                              closes -------------------> closing
    1.60                              cancels ------------------> told
    1.70                                                          returns
    1.80                                                          closed
cancel 0.00 -> stopped 0.10 -> aborted 0.40 -> server told 0.60 ms
)");
}

TEST_CASE("a cancel that reaches no call is drawn, too") {
    Run run;
    on_a_thread([&] {
        tell(run.calls.ctx, slow_url, {Step::call_started, Step::connecting, Step::call_returned});
    });
    run.calls.cancel();
    CHECK("\n" + drawn(run.timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts
    0.30                              |             starts
    0.40                              |             connects
    0.50                              |             returned
    0.60                              cancels
)");
}

TEST_CASE("a call that begins too late is stopped, but does not cancel") {
    Run run;
    run.calls.cancel();
    on_a_thread([&] {
        tell(run.calls.ctx, slow_url, {Step::call_started, Step::call_stopped, Step::call_aborted});
    });
    CHECK("\n" + drawn(run.timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts
    0.30                                            starts
    0.50                                            stopped
    0.60                                            aborted
cancel 0.00 -> stopped 0.10 -> aborted 0.20 ms
)");
}

TEST_CASE("a deadline stops a call on nobody's thread") {
    Run run;
    const auto [calls, cancel] = context::with_timeout(run.root, 0s);
    on_a_thread([&, &ctx = calls] {
        tell(ctx, slow_url, {Step::call_started});
        on_a_thread([&] { tell(ctx, slow_url, {Step::call_stopped}); });
    });
    CHECK("\n" + drawn(run.timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts
    0.30                                            starts
    0.50                                            deadline
deadline 0.00 -> stopped 0.10 ms
)");
}

TEST_CASE("the figures count from before a call is stopped") {
    Run run;
    const Context& calls = run.calls.ctx;
    tell(calls, slow_url, {Step::call_started});
    const auto stop = [&] { tell(calls, slow_url, {Step::call_stopped}); };
    const std::stop_callback on_stop(calls.done(), stop);
    tell(calls, slow_url, {Step::connecting});
    run.calls.cancel();
    CHECK(drawn(run.timeline).ends_with("\ncancel 0.00 -> stopped 0.10 ms\n"));
}

TEST_CASE("no arrow leaves the lane of a client after its call has returned") {
    Run run;
    for (const Step last : {Step::call_aborted, Step::call_failed, Step::call_returned}) {
        on_a_thread([&] { tell(run.calls.ctx, slow_url, {Step::call_started, last}); });
        on_a_thread([&] { tell(run.root, slow_url, {Step::got_request}); });
        const std::string picture = drawn(run.timeline);
        CAPTURE(picture);
        CHECK(picture.ends_with(" received\n"));
        CHECK(picture.find("sent") == std::string::npos);
    }
}

TEST_CASE("a handler that is told because its client has gone is told before its server closes") {
    Run run;
    const Context& root = run.root;
    on_a_thread([&] { tell(run.calls.ctx, slow_url, {Step::call_started}); });
    on_a_thread([&] { tell(root, slow_url, {Step::got_request}); });
    run.calls.cancel();
    tell(run.calls.ctx, slow_url, {Step::call_stopped});
    std::jthread server([&] { tell(root, slow_url, {Step::handler_stopped}); });
    server.join();
    tell(run.calls.ctx, slow_url, {Step::call_aborted});
    tell(root, slow_url, {Step::handler_returned, Step::closing, Step::closed});
    CHECK("\n" + drawn(run.timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts                      |
    0.30                              |             starts        |
    0.40                              |             sent -------> received
    0.60                              cancels ----> stopped       |
    0.70                              |             |             told
    0.80                              |             aborted       |
    0.90                              |                           answers
    1.00                              closes -------------------> closing
    1.10                                                          closed
cancel 0.00 -> stopped 0.10 -> server told 0.20 -> aborted 0.30 ms
)");
}

TEST_CASE("a thread with the number of one that has ended is not taken for it") {
    Run run;
    tell(run.root, fast_url, {Step::got_request});
    tell(run.calls.ctx, fast_url, {Step::call_started});
    tell(run.calls.ctx, slow_url, {Step::call_stopped});
    const std::string picture = drawn(run.timeline);
    CAPTURE(picture);
    CHECK(picture.find("    0.50                cancels ------------------> stopped\n") !=
          std::string::npos);
}

TEST_CASE("a long pause is a line of colons, where anybody is there to pause") {
    Clock clock;
    Timeline timeline(true, std::ref(clock));
    clock.now += 1s;
    const Context root = timeline.root();
    tell(root, slow_url, {Step::listening});
    clock.now += 1h;
    tell(root, slow_url, {Step::closing});
    clock.now += 50ms;
    tell(root, slow_url, {Step::closed});
    CHECK("\n" + drawn(timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
 1000.10                              starts -------------------> listening
                                      :                           :
 3601000                              closes -------------------> closing
                                                                  :
 3601050                                                          closed
)");
}

TEST_CASE("steps of other servers, and calls to them, are not drawn") {
    Run run;
    tell(run.root, slow_url + "2", {Step::listening, Step::got_request});
    tell(run.calls.ctx, slow_url + "2/", {Step::call_started});
    tell(run.calls.ctx, slow_url + "/path", {Step::connecting});
    CHECK("\n" + drawn(run.timeline) == R"(
      ms  fast server   fast client   main          slow client   slow server
    0.10                              starts -------------------> listening
    0.20  listening <---------------- starts
    0.30                                            connects
)");
}

TEST_CASE("a picture that is too long ends with a word of it, and one that is off is empty") {
    Timeline timeline(true), off(false);
    for (Timeline* const each : {&timeline, &off}) {
        const Context root = each->root();
        for (int i = 0; i < 2000; ++i) tell(root, slow_url, {Step::listening});
    }
    const std::string picture = drawn(timeline);
    CHECK(std::ranges::count(picture, '\n') == 1002);
    CHECK(picture.ends_with("\n(there was more)\n"));
    CHECK(drawn(off) == "");
}
