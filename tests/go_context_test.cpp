// The tests of Go's context package up to Go 1.27, under their names, and three of its examples.
// Allocs is in programs_test.cpp.
//
// Go's tests of the links look into a parent's map of children; these cancel the parent and look at
// the children. Three kinds have no counterpart: tests of a Context that the caller has written
// (Custom...), tests of what a C++ compiler refuses (WithValueChecksKey, InvalidDerivedFail), and
// ContextErrDoneRace: here err() is set shortly before done() is stopped.

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "context.hpp"
#include "tests/bounded.hpp"

using namespace std::chrono_literals;
using context::after_func;
using context::background;
using context::CancelFunc;
using context::Cancellable;
using context::cause;
using context::Context;
using context::errc;
using context::Key;
using context::todo;
using context::wait;
using context::with_cancel;
using context::with_deadline;
using context::with_timeout;
using context::with_value;
using context::without_cancel;

namespace {

const Key<std::string> key{"key"};
constexpr auto forever = 1000h;
const std::error_code parent_cause = make_error_code(std::errc::broken_pipe);
const std::error_code child_cause = make_error_code(std::errc::no_child_process);
const std::error_code finished_early = make_error_code(std::errc::resource_unavailable_try_again);
const std::error_code too_slow = make_error_code(std::errc::device_or_resource_busy);

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
    for (const Context& ctx : {background(), todo(), Context()}) {
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

TEST_CASE("ParentFinishesChild: a cancel reaches children, through values, timers and functions") {
    auto [parent, cancel] = with_cancel(background());
    const auto [cancel_child, stop_child] = with_cancel(parent);
    const Context value_child = with_value(parent, key, "value");
    const auto [timer_child, stop_timer_child] = with_timeout(value_child, 1h);
    Later after_child;
    const auto stop = after_func(parent, [&] { after_child.promise.set_value(); });
    for (const Context& c : {parent, cancel_child, value_child, timer_child}) CHECK(is_live(c));
    CHECK_FALSE(after_child.ran());
    cancel();
    for (const Context& c : {parent, cancel_child, value_child, timer_child}) {
        CHECK(is_done(c, errc::canceled));
    }
    after_child.future.get();
    CHECK_FALSE(stop());
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

TEST_CASE("CancelRemoves: a live parent does not hold a child that is done or withdrawn") {
    static const Key<std::shared_ptr<int>> token{"token"};
    const std::function<void(const Context&)> derive_and_drop[] = {
        [](const Context& ctx) { with_cancel(ctx).cancel(); },
        [](const Context& ctx) { with_timeout(ctx, 1h).cancel(); },
        [](const Context& ctx) { CHECK(after_func(ctx, [] {})()); },
    };
    for (const auto& child_of : derive_and_drop) {
        const auto [parent, cancel] = with_cancel(background());
        auto value = std::make_shared<int>();
        const std::weak_ptr<int> held = value;
        child_of(with_value(parent, token, std::move(value)));
        CHECK(held.expired());
    }
}

TEST_CASE("WithCancelCanceledParent: a child of a cancelled parent is born done, with its cause") {
    auto [parent, cancel] = with_cancel(background());
    cancel(finished_early);
    const auto child = with_cancel(parent);
    CHECK(is_done(child.ctx, errc::canceled));
    CHECK(cause(child.ctx) == finished_early);
}

TEST_CASE("WithCancelSimultaneouslyCanceledParent: a child derived meanwhile has the cause, too") {
    for (int i = 0; i < 100; ++i) {
        const auto parent = with_cancel(background());
        const std::jthread canceller([&] { parent.cancel(finished_early); });
        const auto child = with_cancel(parent.ctx);
        CHECK(wait(child.ctx) == errc::canceled);
        CHECK(cause(child.ctx) == finished_early);
    }
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
    CHECK(printed(todo()) == "todo");
    CHECK(printed(b) == "background.with_cancel.with_value(key).with_deadline");
    // A later deadline than the parent's is none of its own, here as in Go.
    CHECK(printed(c) == printed(b) + ".with_cancel");
    CHECK(printed(without_cancel(a)) == "background.with_cancel.without_cancel");
    CHECK(printed(without_cancel(background())) == "background.without_cancel");
    CHECK(printed(with_value(todo(), key, "secret")) == "todo.with_value(key)");
}

TEST_CASE("Cause: the first end of a context decides; where no cause was given it is err") {
    const auto cancelled = [](Cancellable made, std::error_code why = {}) {
        made.cancel(why);
        return made.ctx;
    };
    const auto detached = [](Cancellable made, std::error_code why = {}) {
        const Context ctx = without_cancel(made.ctx);
        made.cancel(why);
        return ctx;
    };
    const auto child = [](bool parent_first, std::error_code of_parent, std::error_code of_child) {
        const auto parent = with_cancel(background());
        auto made = with_cancel(with_value(parent.ctx, key, "value"));
        if (!parent_first) made.cancel(of_child);
        parent.cancel(of_parent);
        made.cancel(of_child);
        return made.ctx;
    };
    const auto stacked = [](std::chrono::seconds timeout) {
        const auto parent = with_cancel(background());
        auto made = with_timeout(parent.ctx, timeout, too_slow);
        parent.cancel(finished_early);
        return made.ctx;
    };
    const auto cancelled_again = [](const Cancellable& made) {
        made.cancel(finished_early);
        made.cancel(too_slow);
        made.cancel();
        return made.ctx;
    };
    const std::error_code none, canceled = errc::canceled, exceeded = errc::deadline_exceeded;
    const Context root = background();
    const struct {
        const char* name;
        Context ctx;
        std::error_code err, cause;
    } rows[] = {
        {"background", root, none, none},
        {"todo", todo(), none, none},
        {"with_cancel", cancelled(with_cancel(root)), canceled, canceled},
        {"with a cause", cancelled(with_cancel(root), parent_cause), canceled, parent_cause},
        {"with an empty cause", cancelled(with_cancel(root), none), canceled, canceled},
        {"with one cause after the other", cancelled_again(with_cancel(root)), canceled,
         finished_early},
        {"parent's cause before child's", child(true, parent_cause, child_cause), canceled,
         parent_cause},
        {"parent's cause after child's", child(false, parent_cause, child_cause), canceled,
         child_cause},
        {"parent's cause before an empty one", child(true, parent_cause, none), canceled,
         parent_cause},
        {"parent's cause after an empty one", child(false, parent_cause, none), canceled, canceled},
        {"child's cause after an empty one", child(true, none, child_cause), canceled, canceled},
        {"child's cause before an empty one", child(false, none, child_cause), canceled,
         child_cause},
        {"with_timeout", cancelled(with_timeout(root, 0s)), exceeded, exceeded},
        {"with_timeout, cancelled first", cancelled(with_timeout(root, forever)), canceled,
         canceled},
        {"a timeout's cause", cancelled(with_timeout(root, 0s, too_slow)), exceeded, too_slow},
        {"a timeout's cause, cancelled first", cancelled(with_timeout(root, forever, too_slow)),
         canceled, canceled},
        {"stacked", stacked(0s), exceeded, too_slow},
        {"stacked, cancelled first", stacked(forever), canceled, finished_early},
        {"without_cancel", without_cancel(root), none, none},
        {"without_cancel, cancelled", detached(with_cancel(root), finished_early), none, none},
        {"without_cancel, timed out", detached(with_timeout(root, 0s, too_slow)), none, none},
    };
    for (const auto& [name, ctx, err, why] : rows) {
        CAPTURE(name);
        CHECK(ctx.err() == err);
        CHECK(cause(ctx) == why);
    }
}

TEST_CASE("Cause: a deadline's cause reaches all that it ends; an equal deadline keeps its own") {
    const auto parent = with_timeout(background(), 5ms, too_slow);
    const auto child = with_timeout(parent.ctx, 1h, child_cause);
    const auto equal = with_deadline(parent.ctx, *parent.ctx.deadline(), child_cause);
    CHECK(wait(child.ctx) == errc::deadline_exceeded);
    CHECK(wait(equal.ctx) == errc::deadline_exceeded);
    CHECK(cause(equal.ctx) == child_cause);
    for (const Context& ctx :
         {parent.ctx, child.ctx, with_timeout(parent.ctx, 0s, child_cause).ctx}) {
        CHECK(cause(ctx) == too_slow);
    }
}

// A callback holds up the timer thread, so that no other deadline is served meanwhile.
TEST_CASE("Cause: where the parent's deadline has passed unserved, the earlier deadline gives it") {
    std::latch is_held{1}, may_go_on{1};
    const auto first = with_timeout(background(), 1ms);
    const std::stop_callback hold(first.ctx.done(), [&] {
        is_held.count_down();
        may_go_on.wait();
    });
    is_held.wait();
    const auto parent = with_timeout(background(), 1ns, parent_cause);
    const auto deadline = *parent.ctx.deadline();
    while (std::chrono::steady_clock::now() <= deadline) std::this_thread::yield();
    const auto equal = with_deadline(parent.ctx, deadline, child_cause);
    const auto earlier = with_deadline(parent.ctx, deadline - 1ns, child_cause);
    const auto later = with_timeout(parent.ctx, 0s, child_cause);  // notices the parent's deadline
    for (const auto* child : {&later, &equal, &earlier}) {
        CHECK(is_done(child->ctx, errc::deadline_exceeded));
    }
    CHECK(cause(later.ctx) == parent_cause);
    CHECK(cause(equal.ctx) == child_cause);
    CHECK(cause(earlier.ctx) == child_cause);
    may_go_on.count_down();
    CHECK(wait(parent.ctx) == errc::deadline_exceeded);
    CHECK(cause(parent.ctx) == parent_cause);
}

TEST_CASE("CauseRace: a thread that sees a cause sees the one that was given") {
    for (int i = 0; i < 100; ++i) {
        const auto made = with_cancel(background());
        const std::jthread canceller([&] { made.cancel(finished_early); });
        std::error_code seen;
        while (!(seen = cause(made.ctx))) std::this_thread::yield();
        CHECK(seen == finished_early);
    }
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
    for (int i = 0; i < 2000 / slowdown; ++i) {
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

// A function of after_func can still run when stop() has returned false, so it shares what it uses.
TEST_CASE("ExampleAfterFunc_cond: a wait for a condition ends with its context") {
    struct Condition {
        std::mutex mutex;
        std::condition_variable changed;
    };
    const auto wait_until = [](const Context& ctx, const std::shared_ptr<Condition>& condition,
                               const std::function<bool()>& is_met) {
        const auto stop = after_func(ctx, [condition] {
            const std::lock_guard lock(condition->mutex);
            condition->changed.notify_all();
        });
        std::unique_lock lock(condition->mutex);
        condition->changed.wait(lock, [&] { return is_met() || ctx.err(); });
        stop();
        return is_met() ? std::error_code{} : ctx.err();
    };
    const auto condition = std::make_shared<Condition>();
    std::array<std::error_code, 4> results;
    {
        std::vector<std::jthread> threads;
        for (std::error_code& result : results) {
            threads.emplace_back([&] {
                const auto made = with_timeout(background(), 1ms);
                result = wait_until(made.ctx, condition, [] { return false; });
            });
        }
    }
    for (const std::error_code& result : results) CHECK(result == errc::deadline_exceeded);
    CHECK_FALSE(wait_until(background(), condition, [] { return true; }));
}

TEST_CASE("ExampleAfterFunc_connection: a read ends with its context, and the connection goes on") {
    const auto read_from = [](const Context& ctx, int connection, char& byte) {
        const int wake = ::eventfd(0, EFD_CLOEXEC);
        Later woken;
        const auto stop = after_func(ctx, [&] {
            ::eventfd_write(wake, 1);
            woken.promise.set_value();
        });
        std::array<pollfd, 2> ready{{{connection, POLLIN, 0}, {wake, POLLIN, 0}}};
        while (::poll(ready.data(), ready.size(), -1) < 0) continue;
        const bool may_read = stop();
        if (!may_read) woken.future.get();  // the function uses `wake`
        ::close(wake);
        if (!may_read) return ctx.err();
        return ::read(connection, &byte, 1) == 1 ? std::error_code{}
                                                 : std::error_code(errno, std::system_category());
    };
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    char byte = 0;
    const auto made = with_timeout(background(), 1ms);
    CHECK(read_from(made.ctx, ends[0], byte) == errc::deadline_exceeded);
    CHECK(::write(ends[1], "x", 1) == 1);
    CHECK_FALSE(read_from(background(), ends[0], byte));
    CHECK(byte == 'x');
    for (const int end : ends) ::close(end);
}

TEST_CASE("ExampleAfterFunc_merge: a context that another one cancels, with the other's cause") {
    const auto first = with_cancel(background());
    const auto second = with_cancel(background());
    const auto merged = std::make_shared<Cancellable>(with_cancel(first.ctx));
    const auto stop =
        after_func(second.ctx, [merged, other = second.ctx] { merged->cancel(cause(other)); });
    second.cancel(finished_early);
    CHECK(wait(merged->ctx) == errc::canceled);
    CHECK(cause(merged->ctx) == finished_early);
    CHECK(is_live(first.ctx));
    CHECK_FALSE(stop());
}

TEST_CASE("WithoutCancel: values stay, the end and the deadline of the parent do not") {
    auto [parent, cancel] = with_timeout(with_value(background(), key, "value"), 1h);
    const Context detached = without_cancel(parent);
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
    CHECK(is_live(without_cancel(background())));
}

// --- Two contexts merged: no test of Go's, a line instead of a function --------------------------

TEST_CASE("two contexts merged: either one cancels it; values and deadline are the parent's") {
    const auto parent = with_timeout(with_value(background(), key, "parent"), 1h);
    for (const bool by_other : {true, false}) {
        const auto other = with_timeout(with_value(background(), key, "other"), 1min, too_slow);
        auto [ctx, cancel] = with_cancel(parent.ctx);
        const std::stop_callback also(other.ctx.done(), std::ref(cancel));
        CHECK(is_live(ctx));
        CHECK(ctx.deadline() == parent.ctx.deadline());
        CHECK(*ctx.value(key) == "parent");
        if (by_other) {
            other.cancel(finished_early);
            CHECK(is_live(parent.ctx));
        } else {
            parent.cancel(finished_early);
            CHECK(is_live(other.ctx));
        }
        CHECK(is_done(ctx, errc::canceled));
        CHECK(cause(ctx) == (by_other ? make_error_code(errc::canceled) : finished_early));
    }
}

TEST_CASE("two contexts merged: the reason is canceled, although the other one met its deadline") {
    const auto other = with_timeout(background(), 5ms, too_slow);
    auto [ctx, cancel] = with_cancel(background());
    const std::stop_callback also(other.ctx.done(), std::ref(cancel));
    CHECK(wait(ctx) == errc::canceled);
    CHECK(cause(ctx) == errc::canceled);
    CHECK(other.ctx.err() == errc::deadline_exceeded);
}

TEST_CASE("two contexts merged: if the other one is done already, so is the result") {
    const auto other = with_timeout(background(), 0s);
    auto [ctx, cancel] = with_cancel(background());
    const std::stop_callback also(other.ctx.done(), std::ref(cancel));
    CHECK(is_done(ctx, errc::canceled));
}

TEST_CASE("two contexts merged: its cancel leaves both alone, and they may outlive it") {
    const auto parent = with_cancel(background());
    const auto other = with_cancel(background());
    {
        auto [ctx, cancel] = with_cancel(parent.ctx);
        const std::stop_callback also(other.ctx.done(), std::ref(cancel));
        cancel();
    }
    CHECK(is_live(parent.ctx));
    CHECK(is_live(other.ctx));
    other.cancel();
    CHECK(is_live(parent.ctx));
}

TEST_CASE("two contexts merged: leaving the scope waits for callbacks that run elsewhere") {
    const auto other = with_cancel(background());
    std::latch is_running{1}, may_return{1};
    std::atomic<bool> has_returned{false};
    const auto block = [&] {
        is_running.count_down();
        may_return.wait();
        has_returned = true;
    };
    std::optional<std::stop_callback<decltype(block)>> callback;
    std::jthread canceller;
    {
        auto [ctx, cancel] = with_cancel(background());
        callback.emplace(ctx.done(), block);
        const std::stop_callback also(other.ctx.done(), std::ref(cancel));
        canceller = std::jthread([&] { other.cancel(); });
        is_running.wait();
        may_return.count_down();
    }
    CHECK(has_returned);
}

TEST_CASE("a jthread's token taken in: its request_stop cancels, for all that is derived") {
    std::promise<std::error_code> seen;
    std::jthread worker([&](const std::stop_token& token) {
        auto [ctx, cancel] = with_cancel(background());
        const std::stop_callback also(token, std::ref(cancel));
        const auto child = with_timeout(ctx, 1h);
        seen.set_value(wait(child.ctx));
    });
    worker.request_stop();
    CHECK(seen.get_future().get() == errc::canceled);
}
