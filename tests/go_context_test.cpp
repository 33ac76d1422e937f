// What the tests of Go's context package check, under their names; and what Go 1.21 documents of
// causes, AfterFunc and WithoutCancel. Go's tests of the linkage look into the parent's map of
// children: here a child that is linked is one that its parent's end reaches.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <latch>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::after_func;
using context::background;
using context::CancelFunc;
using context::Cancellable;
using context::cause;
using context::Context;
using context::errc;
using context::Key;
using context::wait;
using context::with_cancel;
using context::with_deadline;
using context::with_timeout;
using context::with_value;

namespace {

const Key<std::string> key{"key"};
const std::error_code finished_early = make_error_code(std::errc::resource_unavailable_try_again);
const std::error_code too_slow = make_error_code(std::errc::stream_timeout);

bool is_live(const Context& ctx) { return !ctx.err() && !ctx.done().stop_requested(); }
bool is_done(const Context& ctx, errc why) {
    return ctx.err() == why && ctx.done().stop_requested();
}

std::string printed(const Context& ctx) {
    std::ostringstream out;
    out << ctx;
    return out.str();
}

struct Later {
    std::promise<void> promise;
    std::future<void> future = promise.get_future();
    bool ran() { return future.wait_for(0s) == std::future_status::ready; }
};

}  // namespace

TEST_CASE("Background, TODO: they never end, have no deadline and no values") {
    for (const Context& ctx : {background(), context::todo(), Context()}) {
        CHECK(is_live(ctx));
        CHECK_FALSE(ctx.done().stop_possible());
        CHECK_FALSE(ctx.deadline());
        CHECK_FALSE(ctx.value(key));
    }
}

TEST_CASE("WithCancel: a cancel ends the context and all handles of it at once") {
    auto [ctx, cancel] = with_cancel(background());
    const Context copy = ctx;
    const auto [child, cancel_child] = with_cancel(copy);
    for (const Context& c : {ctx, copy, child}) {
        CHECK(c.done().stop_possible());
        CHECK(is_live(c));
    }
    cancel();
    for (const Context& c : {ctx, copy, child}) CHECK(is_done(c, errc::canceled));
}

TEST_CASE("ParentFinishesChild: the end of a parent reaches through values and to timers") {
    auto [parent, cancel] = with_cancel(background());
    const auto [cancel_child, stop_child] = with_cancel(parent);
    const Context value_child = with_value(parent, key, "value");
    const auto [timer_child, stop_timer_child] = with_timeout(value_child, 1h);
    for (const Context& c : {parent, cancel_child, value_child, timer_child}) CHECK(is_live(c));
    cancel();
    for (const Context& c : {parent, cancel_child, value_child, timer_child}) {
        CHECK(is_done(c, errc::canceled));
    }
    CHECK(is_done(with_value(parent, key, "value"), errc::canceled));
}

TEST_CASE("ChildFinishesFirst: a child that ends leaves its parent alone") {
    const auto [cancellable, stop] = with_cancel(background());
    for (const Context& parent : {background(), cancellable}) {
        auto [child, cancel] = with_cancel(parent);
        cancel();
        CHECK(is_done(child, errc::canceled));
        CHECK(is_live(parent));
    }
}

TEST_CASE("Deadline: a context ends at its own deadline or at an earlier one above it") {
    using clock = std::chrono::steady_clock;
    for (const auto until : {20ms, 0ms, -20ms}) {
        const auto own = with_deadline(background(), clock::now() + until);
        CHECK(wait(own.ctx) == errc::deadline_exceeded);
        CHECK(clock::now() >= *own.ctx.deadline());
        const auto upper = with_deadline(background(), clock::now() + until);
        const auto lower = with_deadline(upper.ctx, clock::now() + 1h);
        CHECK(lower.ctx.deadline() == upper.ctx.deadline());
        CHECK(wait(lower.ctx) == errc::deadline_exceeded);
    }
}

TEST_CASE("Timeout: a timeout is a deadline from now on") {
    const auto upper = with_timeout(background(), 20ms);
    const Context value = with_value(upper.ctx, key, "value");
    const auto lower = with_timeout(value, 1h);
    CHECK(wait(lower.ctx) == errc::deadline_exceeded);
    CHECK(is_done(value, errc::deadline_exceeded));
}

TEST_CASE("CanceledTimeout: a cancel before the deadline is the reason that stays") {
    const auto upper = with_timeout(background(), 1h);
    const auto lower = with_timeout(upper.ctx, 2h);
    upper.cancel();
    CHECK(is_done(lower.ctx, errc::canceled));
}

TEST_CASE("Values: a value is found under its own key, the nearest one first") {
    static const Key<std::string> k1{"k1"}, k2{"k1"}, k3{"k3"};
    const auto values = [](const Context& ctx) {
        std::string all;
        for (const auto* k : {&k1, &k2, &k3}) all += ctx.value(*k) ? *ctx.value(*k) : "-";
        return all;
    };
    CHECK(values(background()) == "---");
    const Context c1 = with_value(background(), k1, "1");
    CHECK(values(c1) == "1--");
    const Context c2 = with_value(c1, k2, "2");
    CHECK(values(c2) == "12-");
    const Context c3 = with_value(c2, k3, "3");
    CHECK(values(c3) == "123");
    const Context c4 = with_value(c3, k1, "4");
    CHECK(values(c4) == "423");
    CHECK(values(with_cancel(c4).ctx) == "423");
    CHECK(values(c3) == "123");
}

TEST_CASE("SimultaneousCancels: a tree whose nodes are all cancelled at once, in random order") {
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::deque<Cancellable> tree;
    tree.push_back(with_cancel(background()));
    for (std::size_t parent = 0; tree.size() < 101; ++parent) {
        for (int i = 0; i < 4; ++i) tree.push_back(with_cancel(tree[parent].ctx));
    }
    std::vector<std::size_t> order(tree.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::shuffle(order, random);
    {
        std::latch start{static_cast<std::ptrdiff_t>(tree.size()) + 1};
        std::vector<std::jthread> threads;
        for (const std::size_t i : order) {
            threads.emplace_back([&tree, &start, i] {
                start.arrive_and_wait();
                tree[i].cancel();
            });
        }
        start.arrive_and_wait();
        std::ranges::shuffle(order, random);
        for (const std::size_t i : order) CHECK(wait(tree[i].ctx) == errc::canceled);
    }
    for (const Cancellable& node : tree) CHECK(is_done(node.ctx, errc::canceled));
}

TEST_CASE("InterlockedCancels: who waits for the parent may cancel the child meanwhile") {
    auto [parent, cancel_parent] = with_cancel(background());
    auto [child, cancel_child] = with_cancel(parent);
    const std::jthread waiter([&] {
        wait(parent);
        cancel_child();
    });
    cancel_parent();
    CHECK(wait(child) == errc::canceled);
}

static void test_layers(std::chrono::milliseconds timeout, bool cancels) {
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::deque<Key<int>> keys;
    std::vector<CancelFunc> functions;
    int timers = 0;
    Context ctx;
    for (int layer = 0; layer < 30 || timers == 0 || keys.empty() || functions.empty(); ++layer) {
        const auto kind = random() % 3;
        if (kind == 0) {
            const int value = static_cast<int>(keys.size());
            ctx = with_value(ctx, keys.emplace_back("layer"), value);
            continue;
        }
        auto [child, cancel] = kind == 1 ? with_cancel(ctx) : with_timeout(ctx, timeout);
        ctx = child;
        functions.push_back(std::move(cancel));
        timers += kind == 2;
    }
    const auto check_values = [&] {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            REQUIRE(ctx.value(keys[i]));
            CHECK(*ctx.value(keys[i]) == static_cast<int>(i));
        }
    };
    CHECK(printed(ctx).starts_with("background."));
    check_values();
    if (cancels) {
        CHECK(is_live(ctx));
        functions[random() % functions.size()]();
        CHECK(is_done(ctx, errc::canceled));
    } else {
        CHECK(wait(ctx) == errc::deadline_exceeded);
    }
    check_values();
}

TEST_CASE("LayersCancel: any cancel of random layers ends the lowest, and all values stay") {
    for (int i = 0; i < 100; ++i) test_layers(1h, true);
}

TEST_CASE("LayersTimeout: the timeouts of random layers end the lowest, and all values stay") {
    for (int i = 0; i < 20; ++i) test_layers(5ms, false);
}

TEST_CASE("CancelRemoves: a child that was cancelled is held by nobody") {
    const auto [parent, cancel] = with_cancel(background());
    std::weak_ptr<int> held;
    static const Key<std::shared_ptr<int>> token{"token"};
    for (const bool timed : {false, true}) {
        auto child = timed ? with_timeout(parent, 1h) : with_cancel(parent);
        auto value = std::make_shared<int>();
        held = value;
        auto below = with_cancel(with_value(child.ctx, token, std::move(value)));
        CHECK_FALSE(held.expired());
        child.cancel();
        below = {};
        CHECK(held.expired());
    }
}

TEST_CASE("WithCancelCanceledParent: a child of a cancelled parent is born cancelled") {
    auto [parent, cancel] = with_cancel(background());
    cancel();
    const auto child = with_cancel(parent);
    CHECK(is_done(child.ctx, errc::canceled));
}

TEST_CASE("DeadlineExceeded: it is a timeout to code that knows only the system's errors") {
    const auto [ctx, cancel] = with_timeout(background(), 0s);
    CHECK(ctx.err() == std::errc::timed_out);
    CHECK(ctx.err() != std::errc::operation_canceled);
    CHECK(ctx.err().message() == "context deadline exceeded");
}

TEST_CASE("String: a context prints how it was derived, and never a value") {
    const auto [a, cancel_a] = with_cancel(background());
    const auto [b, cancel_b] = with_timeout(with_value(a, key, "secret"), 1h);
    const auto [c, cancel_c] = with_timeout(b, 2h);
    CHECK(printed(background()) == "background");
    CHECK(printed(context::todo()) == "todo");
    CHECK(printed(b) == "background.with_cancel.with_value(key).with_deadline");
    // A later deadline than the parent's is none of its own, here as in Go.
    CHECK(printed(c) == printed(b) + ".with_cancel");
    CHECK(printed(context::without_cancel(a)) == "background.with_cancel.without_cancel");
    CHECK(printed(with_value(context::todo(), key, "secret")) == "todo.with_value(key)");
}

TEST_CASE("Cause: without a cause it is what err says, and empty while the context lives") {
    auto [ctx, cancel] = with_cancel(background());
    CHECK_FALSE(cause(ctx));
    CHECK_FALSE(cause(background()));
    cancel();
    CHECK(cause(ctx) == errc::canceled);
    const auto expired = with_timeout(background(), 0s);
    CHECK(cause(expired.ctx) == errc::deadline_exceeded);
    auto [other, cancel_other] = with_cancel(background());
    cancel_other(std::error_code{});
    CHECK(cause(other) == errc::canceled);
}

TEST_CASE("Cause: the first cause stays, and err is still one of the two reasons") {
    auto [ctx, cancel] = with_cancel(background());
    cancel(finished_early);
    cancel(too_slow);
    cancel();
    CHECK(ctx.err() == errc::canceled);
    CHECK(cause(ctx) == finished_early);
}

TEST_CASE("Cause: a parent's cause reaches its children, unless they have one already") {
    auto [parent, cancel_parent] = with_cancel(background());
    auto [first, cancel_first] = with_cancel(parent);
    auto [second, cancel_second] = with_cancel(with_value(parent, key, "value"));
    cancel_first(too_slow);
    CHECK(is_live(parent));
    cancel_parent(finished_early);
    cancel_second(too_slow);
    CHECK(cause(parent) == finished_early);
    CHECK(cause(first) == too_slow);
    CHECK(cause(second) == finished_early);
    const auto born_done = with_timeout(parent, 0s);
    CHECK(cause(born_done.ctx) == finished_early);
}

TEST_CASE("Cause: that of a deadline counts if the deadline ends the context, and only then") {
    const auto slow = with_timeout(background(), 5ms, too_slow);
    CHECK(wait(slow.ctx) == errc::deadline_exceeded);
    CHECK(cause(slow.ctx) == too_slow);
    const auto cancelled = with_timeout(background(), 1h, too_slow);
    cancelled.cancel();
    CHECK(cause(cancelled.ctx) == errc::canceled);
    const auto past = with_deadline(background(), std::chrono::steady_clock::now(), too_slow);
    CHECK(cause(past.ctx) == too_slow);
    const auto upper = with_timeout(background(), 5ms);
    const auto later = with_timeout(upper.ctx, 1h, too_slow);
    CHECK(wait(later.ctx) == errc::deadline_exceeded);
    CHECK(cause(later.ctx) == errc::deadline_exceeded);
}

TEST_CASE("Cause: dropping a CancelFunc cancels without a cause") {
    auto made = std::make_unique<context::Cancellable>(with_cancel(background()));
    const Context ctx = made->ctx;
    made.reset();
    CHECK(cause(ctx) == errc::canceled);
}

TEST_CASE("AfterFunc: it is called once the context is done, on another thread") {
    auto [ctx, cancel] = with_cancel(background());
    std::promise<std::thread::id> ran_on;
    const auto stop = after_func(ctx, [&] { ran_on.set_value(std::this_thread::get_id()); });
    cancel();
    CHECK(ran_on.get_future().get() != std::this_thread::get_id());
    CHECK_FALSE(stop());
}

TEST_CASE("AfterFunc: it is called for a deadline, and for a context that is done already") {
    const auto timed = with_timeout(background(), 5ms);
    Later after_deadline, after_done;
    after_func(timed.ctx, [&] { after_deadline.promise.set_value(); });
    after_deadline.future.get();
    after_func(timed.ctx, [&] { after_done.promise.set_value(); });
    after_done.future.get();
}

TEST_CASE("AfterFunc: it is not called twice, and not before the end") {
    auto [ctx, cancel] = with_cancel(background());
    std::atomic<int> calls{0};
    Later last;
    after_func(ctx, [&] { ++calls; });
    CHECK(calls == 0);
    cancel();
    cancel();
    // The functions of one thread run in their order, so when this has run the other has.
    after_func(ctx, [&] { last.promise.set_value(); });
    last.future.get();
    CHECK(calls == 1);
}

TEST_CASE("AfterFunc: stop prevents the call, says so once, and lets go of the function") {
    auto [ctx, cancel] = with_cancel(background());
    Later prevented, other;
    auto held = std::make_shared<int>();
    const std::weak_ptr<int> watched = held;
    const auto stop =
        after_func(ctx, [&, held = std::move(held)] { prevented.promise.set_value(); });
    const auto copy = stop;
    CHECK(stop());
    CHECK(watched.expired());
    CHECK_FALSE(stop());
    CHECK_FALSE(copy());
    cancel();
    after_func(ctx, [&] { other.promise.set_value(); });
    other.future.get();
    CHECK_FALSE(prevented.ran());
}

TEST_CASE("AfterFunc: stop does not wait for a function that runs") {
    auto [ctx, cancel] = with_cancel(background());
    std::latch running{1}, may_end{1};
    Later ended;
    const auto stop = after_func(ctx, [&] {
        running.count_down();
        may_end.wait();
        ended.promise.set_value();
    });
    cancel();
    running.wait();
    CHECK_FALSE(stop());
    may_end.count_down();
    ended.future.get();
}

TEST_CASE("AfterFunc: a slow function holds up neither the canceller nor a deadline") {
    auto [ctx, cancel] = with_cancel(background());
    std::latch may_end{1};
    Later ended;
    after_func(ctx, [&] {
        may_end.wait();
        ended.promise.set_value();
    });
    cancel();
    const auto timed = with_timeout(background(), 1ms);
    CHECK(wait(timed.ctx) == errc::deadline_exceeded);
    may_end.count_down();
    ended.future.get();
}

TEST_CASE("AfterFunc: on a context that never ends, stop still prevents") {
    const auto stop = after_func(background(), [] {});
    CHECK(stop());
    CHECK_FALSE(stop());
    CHECK_FALSE(context::StopFunc{}());
}

TEST_CASE("AfterFunc: stop and the end may race; either it runs or stop says true") {
    for (int i = 0; i < 2000; ++i) {
        auto [ctx, cancel] = with_cancel(background());
        std::atomic<int> calls{0};
        const auto stop = after_func(ctx, [&] { ++calls; });
        std::latch start{2};
        bool prevented = false;
        {
            const std::jthread stopper([&] {
                start.arrive_and_wait();
                prevented = stop();
            });
            start.arrive_and_wait();
            cancel();
        }
        Later last;
        after_func(ctx, [&] { last.promise.set_value(); });
        last.future.get();
        REQUIRE(calls == (prevented ? 0 : 1));
    }
}

TEST_CASE("AfterFunc: a function may cancel, derive and defer as it likes") {
    auto [ctx, cancel] = with_cancel(background());
    auto [other, cancel_other] = with_cancel(background());
    Later done;
    after_func(ctx, [&, done_ctx = ctx] {
        cancel_other();
        const auto child = with_cancel(done_ctx);
        after_func(child.ctx, [&] { done.promise.set_value(); });
    });
    cancel();
    done.future.get();
    CHECK(is_done(other, errc::canceled));
}

TEST_CASE("WithoutCancel: values stay, the end and the deadline of the parent do not") {
    auto [parent, cancel] = with_timeout(with_value(background(), key, "value"), 1h);
    const Context detached = context::without_cancel(parent);
    const auto [child, cancel_child] = with_cancel(detached);
    cancel();
    for (const Context& ctx : {detached, child}) {
        CHECK(is_live(ctx));
        CHECK_FALSE(ctx.deadline());
        CHECK_FALSE(cause(ctx));
        REQUIRE(ctx.value(key));
        CHECK(*ctx.value(key) == "value");
    }
    CHECK_FALSE(detached.done().stop_possible());
    CHECK(is_live(context::without_cancel(background())));
}
