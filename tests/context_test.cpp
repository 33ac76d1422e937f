// What context.hpp promises of each of its names. What holds for the tree as a whole, across
// threads and at any size, is tested in context_musts_test.cpp.
#include "context.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <future>
#include <latch>
#include <limits>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "tests/bounded.hpp"
#include "tests/counted.hpp"

using namespace std::chrono_literals;
using context::errc;
using std::chrono::steady_clock;

namespace {

const context::Key<std::string> tracking_id{"tracking id"};
const context::Key<std::string> other_tracking_id{"tracking id"};
const context::Key<int> attempt{"attempt"};
const context::Key<Counted> counted{"counted"};

std::error_code err_seen_by_another_thread(const context::Context& ctx) {
    return std::async(std::launch::async, [&] { return ctx.err(); }).get();
}

}  // namespace

// --- Types ---------------------------------------------------------------------------------------

static_assert(std::is_nothrow_default_constructible_v<context::Context>);
static_assert(std::is_nothrow_copy_constructible_v<context::Context>);
static_assert(std::is_nothrow_move_constructible_v<context::Context>);
static_assert(std::is_copy_assignable_v<context::Context>);
static_assert(std::is_nothrow_move_assignable_v<context::Context>);
static_assert(std::is_nothrow_destructible_v<context::Context>);
static_assert(std::is_nothrow_swappable_v<context::Context>);
static_assert(!std::is_polymorphic_v<context::Context>);

using Done = std::stop_token;
static_assert(std::is_same_v<decltype(std::declval<context::Context&>().done()), const Done&>);
static_assert(
    std::is_same_v<decltype(std::declval<const context::Context&>().done()), const Done&>);
static_assert(std::is_same_v<decltype(std::declval<context::Context>().done()), Done>);
static_assert(std::is_same_v<decltype(std::declval<const context::Context>().done()), Done>);

static_assert(noexcept(std::declval<const context::Context&>().err()));
static_assert(noexcept(std::declval<const context::Context&>().deadline()));
static_assert(noexcept(std::declval<const context::Context&>().value(tracking_id)));
static_assert(noexcept(context::background()) && noexcept(context::todo()));

static_assert(
    std::is_same_v<decltype(context::background().value(tracking_id)), const std::string*>);
static_assert(std::is_same_v<decltype(context::background().err()), std::error_code>);
static_assert(
    std::is_same_v<decltype(context::background().deadline()), std::optional<context::time_point>>);
static_assert(std::is_same_v<context::time_point, steady_clock::time_point>);
static_assert(std::is_same_v<context::duration, steady_clock::duration>);

static_assert(std::is_nothrow_default_constructible_v<context::CancelFunc>);
static_assert(!std::is_copy_constructible_v<context::CancelFunc>);
static_assert(!std::is_copy_assignable_v<context::CancelFunc>);
static_assert(std::is_nothrow_move_constructible_v<context::CancelFunc>);
static_assert(std::is_nothrow_move_assignable_v<context::CancelFunc>);
static_assert(std::is_nothrow_destructible_v<context::CancelFunc>);
static_assert(std::is_nothrow_invocable_r_v<void, const context::CancelFunc&>);
static_assert(std::is_void_v<std::invoke_result_t<const context::CancelFunc&>>);

static_assert(std::is_aggregate_v<context::Cancellable>);
static_assert(std::is_same_v<decltype(context::Cancellable::ctx), context::Context>);
static_assert(std::is_same_v<decltype(context::Cancellable::cancel), context::CancelFunc>);
static_assert(!std::is_copy_constructible_v<context::Cancellable>);
static_assert(std::is_nothrow_move_constructible_v<context::Cancellable>);

using Name = context::Key<std::string>;
static_assert(!std::is_copy_constructible_v<Name> && !std::is_copy_assignable_v<Name>);
static_assert(!std::is_move_constructible_v<Name> && !std::is_move_assignable_v<Name>);
static_assert(!std::is_convertible_v<const char*, Name>);
[[maybe_unused]] constexpr context::Key<int> keys_can_be_constants{"constant"};

template <class K>
concept can_be_a_key =
    requires(K&& key) { context::with_value(context::background(), std::forward<K>(key), 1); };
static_assert(can_be_a_key<const context::Key<int>&>);
static_assert(can_be_a_key<context::Key<int>&>);
static_assert(!can_be_a_key<context::Key<int>>);
static_assert(!can_be_a_key<const context::Key<int>>);
static_assert(!can_be_a_key<const context::Key<std::string>&>);

static_assert(std::is_error_code_enum_v<errc>);
static_assert(static_cast<int>(errc::canceled) == 1);
static_assert(static_cast<int>(errc::deadline_exceeded) == 2);

// --- Handles -------------------------------------------------------------------------------------

TEST_CASE("background is never done, has no deadline and no values") {
    const context::Context ctx = context::background();
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(ctx.deadline());
    CHECK_FALSE(ctx.done().stop_possible());
    CHECK_FALSE(ctx.done().stop_requested());
    CHECK_FALSE(context::background().done().stop_possible());
    CHECK(ctx.value(tracking_id) == nullptr);
}

TEST_CASE("a default-constructed context is background") {
    const context::Context ctx;
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(ctx.deadline());
    CHECK_FALSE(ctx.done().stop_possible());
    CHECK(ctx.value(tracking_id) == nullptr);
    const auto [child, cancel] = context::with_cancel(ctx);
    CHECK(child.done().stop_possible());
}

TEST_CASE("todo is as background") {
    const context::Context ctx = context::todo();
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(ctx.deadline());
    CHECK_FALSE(ctx.done().stop_possible());
}

TEST_CASE("two contexts derived from background are strangers") {
    const auto [one, cancel_one] = context::with_cancel(context::background());
    const auto [two, cancel_two] = context::with_cancel(context::background());
    cancel_one();
    CHECK(one.err());
    CHECK_FALSE(two.err());
    CHECK_FALSE(context::background().err());
}

TEST_CASE("a copy of a handle is the same context") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const context::Context copy = ctx;
    CHECK(&copy.done() == &ctx.done());
    cancel();
    CHECK(copy.err() == errc::canceled);
    CHECK(copy.done().stop_requested());
}

TEST_CASE("a handle can be assigned another one, and lets go of its own") {
    context::Context one = context::with_value(context::background(), counted, Counted{});
    const context::Context two = context::with_value(context::background(), attempt, 2);
    CHECK(Counted::alive() == 1);
    one = two;
    CHECK(Counted::alive() == 0);
    REQUIRE(one.value(attempt));
    CHECK(one.value(attempt) == two.value(attempt));
    CHECK(one.value(counted) == nullptr);
}

TEST_CASE("a handle can be assigned its own parent, its own child and itself") {
    context::Context ctx = context::with_value(context::background(), attempt, 1);
    ctx = context::with_value(ctx, counted, Counted{});
    REQUIRE(ctx.value(attempt));
    CHECK(*ctx.value(attempt) == 1);
    const context::Context& same = ctx;
    ctx = same;
    CHECK(ctx.value(counted));
    context::Context child = context::with_value(ctx, attempt, 2);
    child = ctx;
    CHECK(*child.value(attempt) == 1);
    ctx = child = context::background();
    CHECK(ctx.value(attempt) == nullptr);
    CHECK(Counted::alive() == 0);
}

TEST_CASE("swapped handles have swapped contexts") {
    context::Context one = context::with_value(context::background(), attempt, 1);
    context::Context two = context::with_value(context::background(), attempt, 2);
    std::swap(one, two);
    CHECK(*one.value(attempt) == 2);
    CHECK(*two.value(attempt) == 1);
}

TEST_CASE("a handle that was moved from is background") {
    context::Context one = context::with_value(context::background(), counted, Counted{});
    context::Context two = std::move(one);
    CHECK(one.value(counted) == nullptr);
    CHECK_FALSE(one.done().stop_possible());
    CHECK(two.value(counted));
    CHECK(Counted::alive() == 1);
    one = context::with_value(context::background(), attempt, 1);
    CHECK(*one.value(attempt) == 1);
    two = context::background();
    CHECK(Counted::alive() == 0);
}

TEST_CASE_FIXTURE(Bounded, "one handle can be copied and read by many threads") {
    {
        const auto [top, cancel] = context::with_cancel(context::background());
        const context::Context ctx = context::with_value(top, counted, Counted{});
        std::atomic<int> wrong = 0;
        std::latch start{4};
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                for (int i = 0; i < 20'000 / slowdown; ++i) {
                    const context::Context copy = ctx;
                    const context::Context child = context::with_value(copy, attempt, i);
                    if (!copy.value(counted) || *child.value(attempt) != i || child.err()) ++wrong;
                }
            });
        }
        threads.clear();
        CHECK(wrong.load() == 0);
        CHECK(Counted::alive() == 1);
    }
    CHECK(Counted::alive() == 0);
}

// --- done ----------------------------------------------------------------------------------------

TEST_CASE("done on an lvalue is one and the same token every time") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const std::stop_token& done = ctx.done();
    CHECK(&done == &ctx.done());
    CHECK(done.stop_possible());
    CHECK_FALSE(done.stop_requested());
    cancel();
    CHECK(&done == &ctx.done());
    CHECK(done.stop_requested());
}

TEST_CASE("done stays valid while any handle of the context lives") {
    auto made = context::with_cancel(context::background());
    const context::Context last = made.ctx;
    const std::stop_token& done = made.ctx.done();
    made.ctx = context::background();
    made.cancel = {};
    CHECK(done.stop_requested());
    CHECK(&done == &last.done());
}

TEST_CASE("done of a temporary is a token that outlives the context") {
    const std::stop_token live = context::background().done();
    CHECK_FALSE(live.stop_possible());
    const std::stop_token stopped = context::with_cancel(context::background()).ctx.done();
    CHECK(stopped.stop_requested());
}

TEST_CASE("a token that nobody asked for before the end is stopped when it is asked for") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    cancel();
    CHECK(ctx.done().stop_requested());
    CHECK(child.done().stop_requested());
}

TEST_CASE("two contexts have two tokens") {
    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(parent);
    CHECK(parent.done() != child.done());
    cancel_child();
    CHECK(child.done().stop_requested());
    CHECK_FALSE(parent.done().stop_requested());
}

TEST_CASE("done works with stop_callback") {
    auto [ctx, cancel] = context::with_cancel(context::background());
    int calls = 0;
    int calls_of_a_dropped_one = 0;
    const std::stop_callback counter(ctx.done(), [&] { ++calls; });
    {
        const std::stop_callback dropped(ctx.done(), [&] { ++calls_of_a_dropped_one; });
    }
    CHECK(calls == 0);
    cancel();
    CHECK(calls == 1);
    cancel();
    cancel = {};
    CHECK(calls == 1);
    CHECK(calls_of_a_dropped_one == 0);
}

TEST_CASE_FIXTURE(Bounded, "done works with condition_variable_any") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::mutex mutex;
    std::condition_variable_any wake;
    std::latch waiting{1};
    const std::jthread canceller([&] {
        waiting.wait();
        const std::lock_guard lock(mutex);  // free only when the waiter sleeps
        cancel();
    });
    std::unique_lock lock(mutex);
    waiting.count_down();
    CHECK_FALSE(wake.wait(lock, ctx.done(), [] { return false; }));
    CHECK(ctx.err() == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded, "done stops a jthread through a stop_callback") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::promise<void> stopped;
    std::jthread worker([&](const std::stop_token& token) {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        wake.wait(lock, token, [] { return false; });
        stopped.set_value();
    });
    const std::stop_callback link(ctx.done(), [&] { worker.request_stop(); });
    cancel();
    stopped.get_future().wait();
    CHECK(worker.get_stop_token().stop_requested());
}

TEST_CASE_FIXTURE(Bounded, "done can be handed to a jthread as its token") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::error_code seen;
    {
        const std::jthread worker(
            [&](const std::stop_token& token) {
                while (!token.stop_requested()) std::this_thread::yield();
                seen = ctx.err();
            },
            ctx.done());
        cancel();
    }
    CHECK(seen == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded, "several threads that ask for done at once get the same token") {
    // Who comes second finds the token made, so is faster, and catches up with the first.
    std::vector<context::Cancellable> made;
    for (int i = 0; i < 200'000 / slowdown; ++i) {
        made.push_back(context::with_cancel(context::background()));
    }
    std::array<std::vector<std::stop_token>, 3> tokens;
    {
        std::latch start{tokens.size()};
        std::vector<std::jthread> threads;
        for (auto& mine : tokens) {
            mine.reserve(made.size());
            threads.emplace_back([&] {
                start.arrive_and_wait();
                for (const auto& each : made) mine.push_back(each.ctx.done());
            });
        }
    }
    int wrong = 0;
    for (std::size_t i = 0; i < made.size(); ++i) {
        made[i].cancel();
        for (const auto& each : tokens) {
            wrong += each[i] != made[i].ctx.done() || !each[i].stop_requested();
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE_FIXTURE(Bounded, "done that races with a cancel gives a token that is stopped") {
    for (int round = 0; round < 2000 / slowdown; ++round) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        const auto [child, cancel_child] = context::with_cancel(ctx);
        std::stop_token token, child_token;
        int calls = 0;
        {
            std::latch start{3};
            const std::jthread first([&] {
                start.arrive_and_wait();
                token = ctx.done();
            });
            const std::jthread second([&] {
                start.arrive_and_wait();
                child_token = child.done();
            });
            start.arrive_and_wait();
            cancel();
        }
        const std::stop_callback counter(child_token, [&] { ++calls; });
        REQUIRE(token.stop_requested());
        REQUIRE(child_token.stop_requested());
        REQUIRE(calls == 1);
        REQUIRE(token == ctx.done());
        REQUIRE(child_token == child.done());
    }
}

// --- err -----------------------------------------------------------------------------------------

TEST_CASE("err is empty while the context lives, afterwards it is canceled") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    CHECK_FALSE(ctx.err());
    CHECK(ctx.err() == std::error_code{});
    CHECK_FALSE(err_seen_by_another_thread(ctx));
    cancel();
    CHECK(ctx.err());
    CHECK(ctx.err() == errc::canceled);
    CHECK(err_seen_by_another_thread(ctx) == errc::canceled);
}

TEST_CASE("the reasons say what Go's say") {
    CHECK(std::error_code(errc::canceled).message() == "context canceled");
    CHECK(std::error_code(errc::deadline_exceeded).message() == "context deadline exceeded");
    CHECK(std::system_error(errc::canceled, "Get").what() == std::string("Get: context canceled"));
}

TEST_CASE("canceled is the system's operation_canceled, deadline_exceeded its timed_out") {
    const std::error_code canceled = errc::canceled;
    const std::error_code exceeded = errc::deadline_exceeded;
    CHECK(canceled == std::errc::operation_canceled);
    CHECK(canceled != std::errc::timed_out);
    CHECK(exceeded == std::errc::timed_out);
    CHECK(exceeded != std::errc::operation_canceled);
    CHECK(canceled != exceeded);
    CHECK(canceled != std::make_error_code(std::errc::operation_canceled));
    CHECK(canceled.default_error_condition() == std::errc::operation_canceled);
}

TEST_CASE("all reasons are of one category with a name of its own") {
    const std::error_category& category = std::error_code(errc::canceled).category();
    CHECK(category == std::error_code(errc::deadline_exceeded).category());
    CHECK(&category == &make_error_code(errc::canceled).category());
    CHECK(category != std::generic_category());
    CHECK(category != std::system_category());
    CHECK(std::string_view(category.name()) == "context");
}

TEST_CASE("a number that is no reason is equal to none") {
    const std::error_code unknown(99, std::error_code(errc::canceled).category());
    CHECK_FALSE(unknown.message().empty());
    CHECK(unknown != errc::canceled);
    CHECK(unknown != std::errc::operation_canceled);
    CHECK(unknown != std::errc::timed_out);
}

// --- Keys and values -----------------------------------------------------------------------------

TEST_CASE("a value is found by its key, in its context and below") {
    const context::Context ctx = context::with_value(context::background(), tracking_id, "42");
    const auto [child, cancel] = context::with_timeout(ctx, 1h);
    const context::Context grandchild = context::with_value(child, attempt, 1);
    REQUIRE(ctx.value(tracking_id));
    CHECK(*ctx.value(tracking_id) == "42");
    CHECK(grandchild.value(tracking_id) == ctx.value(tracking_id));
    CHECK(ctx.value(attempt) == nullptr);
    CHECK(child.value(attempt) == nullptr);
    CHECK(context::background().value(tracking_id) == nullptr);
}

TEST_CASE("the nearest value of a key wins") {
    const context::Context outer = context::with_value(context::background(), attempt, 1);
    const context::Context inner = context::with_value(outer, attempt, 2);
    const context::Context sibling = context::with_value(outer, attempt, 3);
    CHECK(*inner.value(attempt) == 2);
    CHECK(*sibling.value(attempt) == 3);
    CHECK(*outer.value(attempt) == 1);
}

TEST_CASE("keys of the same type and name are different keys") {
    const context::Context ctx = context::with_value(context::background(), tracking_id, "42");
    CHECK(ctx.value(other_tracking_id) == nullptr);
    const context::Context both = context::with_value(ctx, other_tracking_id, "43");
    CHECK(*both.value(tracking_id) == "42");
    CHECK(*both.value(other_tracking_id) == "43");
}

TEST_CASE("the end of a context leaves its values in place") {
    const context::Context ctx = context::with_value(context::background(), attempt, 1);
    const auto [child, cancel] = context::with_cancel(ctx);
    cancel();
    const context::Context late = context::with_value(child, tracking_id, "late");
    CHECK(*late.value(attempt) == 1);
    CHECK(*late.value(tracking_id) == "late");
}

TEST_CASE("a value can be of a type that only moves") {
    static const context::Key<std::unique_ptr<int>> owner{"owner"};
    const context::Context ctx =
        context::with_value(context::background(), owner, std::make_unique<int>(7));
    REQUIRE(ctx.value(owner));
    CHECK(**ctx.value(owner) == 7);
}

TEST_CASE("a value is moved into its context, never copied") {
    struct Copied {
        explicit Copied(int& c) : copies(&c) {}
        Copied(const Copied& other) : copies(other.copies) { ++*copies; }
        Copied(Copied&&) noexcept = default;
        Copied& operator=(const Copied&) = delete;
        int* copies;
    };
    static const context::Key<Copied> key{"copied"};
    int copies = 0;
    const context::Context ctx = context::with_value(context::background(), key, Copied(copies));
    const context::Context copy = ctx;
    CHECK(copy.value(key)->copies == &copies);
    CHECK(copies == 0);
}

TEST_CASE("a value may need more alignment than most") {
    struct alignas(256) Wide {
        std::string text;
    };
    static const context::Key<Wide> key{"wide"};
    const context::Context ctx = context::with_value(context::background(), key, Wide{"wide"});
    CHECK(ctx.value(key)->text == "wide");
    CHECK(reinterpret_cast<std::uintptr_t>(ctx.value(key)) % 256 == 0);
}

TEST_CASE("a value that cannot be moved in leaves the parent as it was") {
    struct Thrower {
        Thrower() = default;
        Thrower(const Thrower&) { throw std::runtime_error("no"); }
    };
    static const context::Key<Thrower> key{"thrower"};
    {
        const context::Context parent =
            context::with_value(context::background(), counted, Counted{});
        CHECK_THROWS_AS((void)context::with_value(parent, key, Thrower{}), std::runtime_error);
        CHECK(Counted::alive() == 1);
    }
    CHECK(Counted::alive() == 0);
}

TEST_CASE("a value lives until the last handle of its context and of those below is gone") {
    context::Context ctx = context::with_value(context::background(), counted, Counted{});
    context::Context copy = ctx;
    auto child = context::with_cancel(ctx);
    const Counted* const value = ctx.value(counted);
    ctx = context::background();
    CHECK(copy.value(counted) == value);
    copy = context::background();
    CHECK(child.ctx.value(counted) == value);
    CHECK(Counted::alive() == 1);
    child.cancel = {};
    CHECK(child.ctx.value(counted) == value);
    child.ctx = context::background();
    CHECK(Counted::alive() == 0);
}

TEST_CASE_FIXTURE(Bounded, "a value is destroyed on the thread of its last handle") {
    struct Witness {
        explicit Witness(std::thread::id& t) : died_on(&t) {}
        Witness(Witness&& other) noexcept : died_on(std::exchange(other.died_on, nullptr)) {}
        Witness& operator=(Witness&&) = delete;
        ~Witness() {
            if (died_on) *died_on = std::this_thread::get_id();
        }
        std::thread::id* died_on;
    };
    static const context::Key<Witness> key{"witness"};
    std::thread::id died_on;
    context::Context ctx = context::with_value(context::background(), key, Witness(died_on));
    std::jthread other([last = std::exchange(ctx, context::background())] {});
    const std::thread::id expected = other.get_id();
    other.join();
    CHECK(died_on == expected);
}

TEST_CASE("a value may hold contexts and use them in its destructor") {
    struct Holder {
        explicit Holder(context::Cancellable c) : held(std::move(c)) {}
        Holder(Holder&&) noexcept = default;
        Holder& operator=(Holder&&) = delete;
        ~Holder() {
            held.cancel();
            const auto fresh = context::with_cancel(held.ctx);
        }
        context::Cancellable held;
    };
    static const context::Key<Holder> key{"holder"};
    const auto [parent, cancel] = context::with_cancel(context::background());
    auto held = context::with_cancel(parent);
    const context::Context watched = held.ctx;
    {
        const context::Context ctx = context::with_value(parent, key, Holder(std::move(held)));
        CHECK_FALSE(watched.err());
    }
    CHECK(watched.err() == errc::canceled);
    CHECK_FALSE(parent.err());
}

TEST_CASE("a value context has its parent's done, err and deadline") {
    const auto [parent, cancel] = context::with_timeout(context::background(), 1h);
    const context::Context ctx = context::with_value(parent, attempt, 1);
    const context::Context below = context::with_value(ctx, tracking_id, "42");
    CHECK(&below.done() == &parent.done());
    CHECK(below.deadline() == parent.deadline());
    CHECK_FALSE(below.err());
    cancel();
    CHECK(below.err() == errc::canceled);
    CHECK(below.done().stop_requested());
}

TEST_CASE("a value context below background is never done") {
    const context::Context ctx = context::with_value(context::background(), attempt, 1);
    CHECK_FALSE(ctx.done().stop_possible());
    CHECK_FALSE(ctx.err());
    CHECK_FALSE(ctx.deadline());
    const auto [child, cancel] = context::with_cancel(ctx);
    cancel();
    CHECK(child.err());
    CHECK_FALSE(ctx.err());
}

// --- Deadlines -----------------------------------------------------------------------------------

TEST_CASE("with_deadline reports its deadline to the nanosecond") {
    const context::time_point when = steady_clock::now() + 1h + 1ns;
    const auto [ctx, cancel] = context::with_deadline(context::background(), when);
    CHECK(ctx.deadline() == when);
    CHECK_FALSE(ctx.err());
}

TEST_CASE("with_timeout counts from its call") {
    const context::time_point before = steady_clock::now();
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    const context::time_point after = steady_clock::now();
    REQUIRE(ctx.deadline());
    CHECK(*ctx.deadline() >= before + 1h);
    CHECK(*ctx.deadline() <= after + 1h);
}

TEST_CASE_FIXTURE(Bounded, "a deadline ends its context with deadline_exceeded, never early") {
    for (int i = 0; i < 50; ++i) {
        const auto [ctx, cancel] = context::with_timeout(context::background(), i * 20us);
        CHECK(context::wait(ctx) == errc::deadline_exceeded);
        CHECK(steady_clock::now() >= *ctx.deadline());
        CHECK(ctx.err() == errc::deadline_exceeded);
        while (!ctx.done().stop_requested()) std::this_thread::yield();
    }
}

TEST_CASE_FIXTURE(Bounded, "an earlier deadline is served first although a later one came first") {
    const auto [later, cancel_later] = context::with_timeout(context::background(), 1h);
    const auto [soon, cancel_soon] = context::with_timeout(context::background(), 10ms);
    const auto [sooner, cancel_sooner] = context::with_timeout(context::background(), 1ms);
    CHECK(context::wait(sooner) == errc::deadline_exceeded);
    CHECK(context::wait(soon) == errc::deadline_exceeded);
    CHECK_FALSE(later.err());
}

TEST_CASE_FIXTURE(Bounded, "no deadline is missed while the timer thread is about to sleep") {
    struct Entry {
        Entry(const context::Context& parent, const std::function<void()>& f)
            : made(context::with_timeout(parent, 30us)), on_done(made.ctx.done(), f) {}
        context::Cancellable made;
        std::stop_callback<std::function<void()>> on_done;
    };
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto [later, cancel_later] = context::with_timeout(context::background(), 1h);
    // While the callback of one deadline spins, after err() is set, the next one is made. The timer
    // thread means to wake for the one before, so nobody wakes it for one that is later.
    std::array<std::optional<Entry>, 2> entries;
    for (std::size_t i = 0; i < 5000 / slowdown; ++i) {
        std::optional<Entry>& e = entries[i % 2];
        e.emplace(later, [for_ns = random() % 1000] {
            const auto end = steady_clock::now() + for_ns * 1ns;
            while (steady_clock::now() < end) continue;
        });
        while (!e->made.ctx.err()) continue;
    }
    CHECK_FALSE(later.err());
}

TEST_CASE_FIXTURE(Bounded, "no deadline is missed where several threads make them") {
    const auto [later, cancel_later] = context::with_timeout(context::background(), 1h);
    std::atomic<int> wrong = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                for (int i = 0; i < 2000 / slowdown; ++i) {
                    const auto made = context::with_timeout(later, (i * 7 + t) % 50 * 1us);
                    if (context::wait(made.ctx) != errc::deadline_exceeded) ++wrong;
                }
            });
        }
    }
    CHECK(wrong.load() == 0);
    CHECK_FALSE(later.err());
}

TEST_CASE_FIXTURE(Bounded, "of many deadlines each ends its own context, none early") {
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::atomic<int> early = 0;
    struct Entry {
        context::Cancellable made;
        bool cancelled;
        std::unique_ptr<std::stop_callback<std::function<void()>>> on_done;
    };
    std::vector<Entry> entries;
    for (int i = 0; i < 5000 / slowdown; ++i) {
        Entry& e = entries.emplace_back(
            Entry{context::with_timeout(context::background(), random() % 50'000 * 1us), {}, {}});
        const context::time_point when = *e.made.ctx.deadline();
        e.on_done = std::make_unique<std::stop_callback<std::function<void()>>>(
            e.made.ctx.done(), [&early, when, ctx = e.made.ctx] {
                if (ctx.err() == errc::deadline_exceeded && steady_clock::now() < when) ++early;
            });
        switch (random() % 4) {
            case 0:
                entries[random() % entries.size()].made.cancel();
                break;
            case 1:
                entries.erase(entries.begin() + static_cast<long>(random() % entries.size()));
                break;
        }
    }
    for (Entry& e : entries) {
        const std::error_code why = context::wait(e.made.ctx);
        if (why == errc::deadline_exceeded) CHECK(steady_clock::now() >= *e.made.ctx.deadline());
        e.made.cancel();
        CHECK(e.made.ctx.err() == why);
    }
    CHECK(early.load() == 0);
}

TEST_CASE("a cancel before the deadline counts") {
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    cancel();
    CHECK(ctx.err() == errc::canceled);
    CHECK(ctx.deadline());
}

TEST_CASE_FIXTURE(Bounded, "a cancel after the deadline changes nothing") {
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1ms);
    context::wait(ctx);
    cancel();
    CHECK(ctx.err() == errc::deadline_exceeded);
}

TEST_CASE("a child has its parent's deadline where it has none of its own") {
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1h);
    const auto [child, cancel_child] = context::with_cancel(parent);
    CHECK(child.deadline() == parent.deadline());
}

TEST_CASE("a child's later deadline is its parent's, an earlier one is its own") {
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1h);
    const auto [later, cancel_later] = context::with_timeout(parent, 2h);
    const auto [equal, cancel_equal] = context::with_deadline(parent, *parent.deadline());
    const auto [sooner, cancel_sooner] = context::with_timeout(parent, 30min);
    CHECK(later.deadline() == parent.deadline());
    CHECK(equal.deadline() == parent.deadline());
    CHECK(*sooner.deadline() < *parent.deadline());
}

TEST_CASE_FIXTURE(Bounded, "a parent's deadline ends its children with its reason") {
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1ms);
    const auto [child, cancel_child] = context::with_cancel(parent);
    const auto [later, cancel_later] = context::with_timeout(parent, 1h);
    const auto [forever, cancel_forever] = context::with_timeout(parent, std::chrono::hours::max());
    CHECK(context::wait(child) == errc::deadline_exceeded);
    CHECK(context::wait(later) == errc::deadline_exceeded);
    CHECK(context::wait(forever) == errc::deadline_exceeded);
}

TEST_CASE_FIXTURE(Bounded, "a child's deadline leaves its parent and its siblings alone") {
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1h);
    const auto [child, cancel_child] = context::with_timeout(parent, 1ms);
    const auto [sibling, cancel_sibling] = context::with_timeout(parent, 30min);
    CHECK(context::wait(child) == errc::deadline_exceeded);
    CHECK_FALSE(parent.err());
    CHECK_FALSE(sibling.err());
}

TEST_CASE("a deadline in the past ends its context at birth") {
    const context::time_point now = steady_clock::now();
    for (const context::time_point when : {now, now - 1ns, now - 1h, context::time_point::min()}) {
        const auto [ctx, cancel] = context::with_deadline(context::background(), when);
        CHECK(ctx.err() == errc::deadline_exceeded);
        CHECK(context::wait(ctx) == errc::deadline_exceeded);
        CHECK(ctx.done().stop_requested());
        CHECK(ctx.deadline() == when);
        const auto [child, cancel_child] = context::with_cancel(ctx);
        CHECK(child.err() == errc::deadline_exceeded);
    }
}

TEST_CASE("a timeout of zero or less ends its context at birth") {
    const auto dead = [](auto timeout) {
        const auto [parent, cancel_parent] = context::with_cancel(context::background());
        const auto [ctx, cancel] = context::with_timeout(parent, timeout);
        return !parent.err() && ctx.err() == errc::deadline_exceeded && ctx.deadline();
    };
    CHECK(dead(0s));
    CHECK(dead(-1ns));
    CHECK(dead(-1h));
    CHECK(dead(std::chrono::hours::min()));
    CHECK(dead(std::chrono::nanoseconds::min()));
    CHECK(dead(std::chrono::duration<double>(0.0)));
    CHECK(dead(std::chrono::duration<double>(-0.0)));
    CHECK(dead(std::chrono::duration<double>(-1e300)));
    CHECK(dead(std::chrono::duration<double>(-std::numeric_limits<double>::infinity())));
    CHECK(dead(std::chrono::duration<unsigned>(0)));
}

TEST_CASE("a context that is already cancelled keeps its reason in a child with a past deadline") {
    const auto [parent, cancel] = context::with_cancel(context::background());
    cancel();
    const auto [child, cancel_child] = context::with_timeout(parent, -1s);
    CHECK(child.err() == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded,
                  "a child of a context that is already cancelled has no deadline to wait for") {
    const auto [parent, cancel] = context::with_cancel(context::background());
    cancel();
    const auto [child, cancel_child] = context::with_timeout(parent, 1ms);
    CHECK(child.err() == errc::canceled);
    const auto [other, cancel_other] = context::with_timeout(context::background(), 5ms);
    context::wait(other);
    CHECK(child.err() == errc::canceled);
}

TEST_CASE("timeouts that are too long for the clock become the end of time") {
    const auto forever = [](auto timeout) {
        const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
        return !ctx.err() && ctx.deadline() == context::time_point::max();
    };
    CHECK(forever(std::chrono::hours::max()));
    CHECK(forever(std::chrono::minutes::max()));
    CHECK(forever(std::chrono::seconds::max()));
    CHECK(forever(std::chrono::microseconds::max()));
    CHECK(forever(std::chrono::nanoseconds::max()));
    CHECK(forever(std::chrono::duration<std::int64_t, std::ratio<31'556'952>>::max()));
    CHECK(forever(std::chrono::duration<std::uint64_t>::max()));
    CHECK(forever(std::chrono::duration<double>::max()));
    CHECK(forever(std::chrono::duration<double>(1e300)));
    CHECK(forever(std::chrono::duration<float>(1e30F)));
    CHECK(forever(std::chrono::duration<long double, std::nano>(1e30L)));
    CHECK(forever(std::chrono::duration<double>(std::numeric_limits<double>::infinity())));
    CHECK(forever(context::time_point::max() - steady_clock::now() + 1s));
}

TEST_CASE("a timeout that the clock can just hold is not cut") {
    const context::duration longest = context::time_point::max() - steady_clock::now() - 1h;
    const context::time_point before = steady_clock::now();
    const auto [ctx, cancel] = context::with_timeout(context::background(), longest);
    CHECK(*ctx.deadline() >= before + longest);
    CHECK(*ctx.deadline() < context::time_point::max());
    CHECK_FALSE(ctx.err());
}

TEST_CASE("a timeout in fractions of a second is not cut at a century") {
    using Frames = std::chrono::duration<std::int64_t, std::ratio<1, 60>>;
    constexpr std::chrono::hours century{24 * 36'525};
    const context::time_point before = steady_clock::now();
    const auto [ctx, cancel] = context::with_timeout(context::background(), Frames(century));
    CHECK(*ctx.deadline() >= before + century);
    CHECK(*ctx.deadline() <= steady_clock::now() + century + 1us);
    const auto [forever, cancel_forever] =
        context::with_timeout(context::background(), Frames(3 * century));
    CHECK(forever.deadline() == context::time_point::max());
}

TEST_CASE("a timeout that its type rounds up to the end of time does not wrap around") {
    for (int i = 0; i < 20'000 / slowdown; ++i) {
        const auto left = context::time_point::max() - steady_clock::now() - i * 1ns;
        const std::chrono::duration<double> seconds(left);
        const std::chrono::duration<float> about(left);
        const auto [ctx, cancel] = context::with_timeout(context::background(), seconds);
        const auto [other, cancel_other] = context::with_timeout(context::background(), about);
        REQUIRE_FALSE(ctx.err());
        REQUIRE_FALSE(other.err());
    }
}

TEST_CASE("a timeout that is no number does not wrap around") {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    const auto [ctx, cancel] = context::with_timeout(context::background(), nan);
    CHECK(ctx.deadline() == context::time_point::max());
    CHECK_FALSE(ctx.err());
}

TEST_CASE_FIXTURE(Bounded, "a timeout finer than the clock is one of the clock's ticks") {
    const auto ends = [](auto timeout) {
        const context::time_point before = steady_clock::now();
        const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
        return context::wait(ctx) == errc::deadline_exceeded && *ctx.deadline() > before;
    };
    CHECK(ends(std::chrono::duration<double, std::nano>(0.25)));
    CHECK(ends(std::chrono::duration<double>(1e-300)));
    CHECK(ends(std::chrono::duration<std::int64_t, std::pico>(1)));
    CHECK(ends(std::chrono::duration<std::int64_t, std::atto>(1)));
}

TEST_CASE("a timeout in any unit is the same time") {
    const auto reaches = [](auto timeout) {
        const context::time_point before = steady_clock::now();
        const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
        const context::time_point after = steady_clock::now();
        return *ctx.deadline() >= before + 90min && *ctx.deadline() <= after + 90min + 1us;
    };
    CHECK(reaches(90min));
    CHECK(reaches(5'400'000'000us));
    CHECK(reaches(std::chrono::duration<double, std::ratio<3600>>(1.5)));
    CHECK(reaches(std::chrono::duration<unsigned, std::ratio<60>>(90)));
    CHECK(reaches(std::chrono::duration<std::int64_t, std::ratio<1, 60>>(90 * 60 * 60)));
}

TEST_CASE("with_deadline takes the end of time") {
    const auto [ctx, cancel] =
        context::with_deadline(context::background(), context::time_point::max());
    CHECK(ctx.deadline() == context::time_point::max());
    CHECK_FALSE(ctx.err());
    const auto [sooner, cancel_sooner] = context::with_timeout(ctx, 1h);
    CHECK(*sooner.deadline() < context::time_point::max());
    cancel();
    CHECK(sooner.err() == errc::canceled);
}

// --- sleep_for -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Bounded, "sleep_for sleeps to the end and says nothing") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [timed, cancel_timed] = context::with_timeout(context::background(), 1h);
    for (const context::Context& each : {ctx, timed, context::background()}) {
        const context::time_point before = steady_clock::now();
        CHECK_FALSE(context::sleep_for(each, 2ms));
        CHECK(steady_clock::now() >= before + 2ms);
    }
}

TEST_CASE_FIXTURE(Bounded, "sleep_for does not sleep for zero or less") {
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    CHECK_FALSE(context::sleep_for(ctx, 0s));
    CHECK_FALSE(context::sleep_for(ctx, -1h));
    CHECK_FALSE(context::sleep_for(ctx, std::chrono::hours::min()));
    CHECK_FALSE(context::sleep_for(context::background(), 0s));
    CHECK_FALSE(context::sleep_for(
        ctx, std::chrono::duration<double>(-std::numeric_limits<double>::infinity())));
}

TEST_CASE_FIXTURE(Bounded, "sleep_for takes times finer than the clock") {
    CHECK_FALSE(context::sleep_for(context::background(), std::chrono::duration<double>(1e-300)));
    CHECK_FALSE(context::sleep_for(context::background(),
                                   std::chrono::duration<std::int64_t, std::pico>(1)));
}

TEST_CASE_FIXTURE(Bounded, "a context that is already done wins over any sleep") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    cancel();
    CHECK(context::sleep_for(ctx, 1h) == errc::canceled);
    CHECK(context::sleep_for(ctx, 0s) == errc::canceled);
    CHECK(context::sleep_for(ctx, -1s) == errc::canceled);
    CHECK(context::sleep_for(ctx, std::chrono::hours::max()) == errc::canceled);
    const auto [past, cancel_past] = context::with_timeout(context::background(), 0s);
    CHECK(context::sleep_for(past, 0s) == errc::deadline_exceeded);
    CHECK(context::sleep_for(past, std::chrono::hours::min()) == errc::deadline_exceeded);
}

TEST_CASE_FIXTURE(Bounded, "a cancel wakes a sleeper, however long it would sleep") {
    const auto woken = [](auto d) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        std::latch about_to_sleep{1};
        auto sleeper = std::async(std::launch::async, [&] {
            about_to_sleep.count_down();
            return context::sleep_for(context::with_value(ctx, attempt, 1), d);
        });
        about_to_sleep.wait();
        cancel();
        return sleeper.get();
    };
    for (int round = 0; round < 200 / slowdown; ++round) {
        CHECK(woken(1h) == errc::canceled);
        CHECK(woken(std::chrono::hours::max()) == errc::canceled);
    }
    CHECK(woken(std::chrono::duration<double>::max()) == errc::canceled);
    CHECK(woken(std::chrono::duration<double>(std::numeric_limits<double>::infinity())) ==
          errc::canceled);
    CHECK(woken(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())) ==
          errc::canceled);
    CHECK(woken(std::chrono::nanoseconds::max()) == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded, "a deadline within the sleep ends it with deadline_exceeded") {
    const auto [ctx, cancel] = context::with_timeout(context::background(), 2ms);
    const auto [child, cancel_child] = context::with_cancel(ctx);
    CHECK(context::sleep_for(child, 1h) == errc::deadline_exceeded);
    CHECK(steady_clock::now() >= *ctx.deadline());
}

TEST_CASE_FIXTURE(Bounded, "a deadline at the end of the sleep always wins") {
    for (int i = 0; i < 400 / slowdown; ++i) {
        const std::chrono::microseconds d{i % 20 * 50};
        const auto [ctx, cancel] = context::with_timeout(context::background(), d);
        REQUIRE(context::sleep_for(ctx, d) == errc::deadline_exceeded);
    }
}

TEST_CASE_FIXTURE(Bounded, "a deadline that has passed wins over a sleep of nothing") {
    for (int i = 0; i < 1000 / slowdown; ++i) {
        const auto [ctx, cancel] = context::with_timeout(context::background(), 20us);
        while (steady_clock::now() < *ctx.deadline()) continue;
        REQUIRE(context::sleep_for(ctx, i % 2 ? 0s : -1s) == errc::deadline_exceeded);
    }
}

TEST_CASE_FIXTURE(Bounded, "a sleep to the end of time ends with the context") {
    const auto [ctx, cancel] =
        context::with_timeout(context::background(), std::chrono::hours::max());
    const auto [child, cancel_child] = context::with_timeout(ctx, 1ms);
    CHECK(context::sleep_for(child, std::chrono::hours::max()) == errc::deadline_exceeded);
    const std::jthread canceller([&] { cancel(); });
    CHECK(context::sleep_for(ctx, std::chrono::hours::max()) == errc::canceled);
}

// --- wait ----------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Bounded, "wait returns the reason at once where the context is done") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    cancel();
    CHECK(context::wait(ctx) == errc::canceled);
    CHECK(context::wait(context::with_value(ctx, attempt, 1)) == errc::canceled);
    CHECK(context::wait(context::with_timeout(context::background(), 0s).ctx) ==
          errc::deadline_exceeded);
}

TEST_CASE_FIXTURE(Bounded, "a cancel wakes all that wait, on the context and below") {
    for (int round = 0; round < 300 / slowdown; ++round) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        const auto [child, cancel_child] = context::with_timeout(ctx, 1h);
        const context::Context value = context::with_value(child, attempt, 1);
        std::latch about_to_wait{3};
        std::vector<std::future<std::error_code>> waiters;
        for (const context::Context& each : {ctx, child, value}) {
            waiters.push_back(std::async(std::launch::async, [&about_to_wait, each] {
                about_to_wait.count_down();
                return context::wait(each);
            }));
        }
        about_to_wait.wait();
        cancel();
        for (auto& waiter : waiters) CHECK(waiter.get() == errc::canceled);
    }
}

TEST_CASE_FIXTURE(Bounded, "wait does not return before the context is done") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::atomic<bool> cancelling = false;
    std::latch about_to_wait{1};
    auto waiter = std::async(std::launch::async, [&] {
        about_to_wait.count_down();
        context::wait(ctx);
        return cancelling.load();
    });
    about_to_wait.wait();
    cancelling = true;
    cancel();
    CHECK(waiter.get());
}

// --- CancelFunc ----------------------------------------------------------------------------------

TEST_CASE("leaving the scope of a CancelFunc cancels") {
    context::Context outer;
    {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        outer = ctx;
        CHECK_FALSE(outer.err());
    }
    CHECK(outer.err() == errc::canceled);
}

TEST_CASE("a context whose CancelFunc is dropped at once is cancelled at once") {
    const auto with_cancel = context::with_cancel(context::background()).ctx;
    CHECK(with_cancel.err() == errc::canceled);
    auto with_timeout = context::with_timeout(context::background(), 1s).ctx;
    CHECK(with_timeout.err() == errc::canceled);
    CHECK(with_timeout.done().stop_requested());
}

TEST_CASE("a CancelFunc may be called any number of times") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    int calls = 0;
    const std::stop_callback counter(ctx.done(), [&] { ++calls; });
    for (int i = 0; i < 3; ++i) cancel();
    CHECK(calls == 1);
    CHECK(ctx.err() == errc::canceled);
}

TEST_CASE("a default-constructed CancelFunc does nothing") {
    const context::CancelFunc cancel;
    cancel();
    context::CancelFunc assigned;
    assigned = context::CancelFunc{};
    assigned();
}

TEST_CASE("a CancelFunc that was moved from does nothing") {
    auto [ctx, cancel] = context::with_cancel(context::background());
    context::CancelFunc moved = std::move(cancel);
    cancel();
    CHECK_FALSE(ctx.err());
    {
        const context::CancelFunc emptied = std::move(cancel);
    }
    CHECK_FALSE(ctx.err());
    moved();
    CHECK(ctx.err() == errc::canceled);
}

TEST_CASE("move assignment cancels what the CancelFunc held, and takes over the other") {
    auto [one, cancel] = context::with_cancel(context::background());
    auto [two, cancel_two] = context::with_cancel(context::background());
    cancel = std::move(cancel_two);
    CHECK(one.err() == errc::canceled);
    CHECK_FALSE(two.err());
    cancel_two();
    CHECK_FALSE(two.err());
    cancel = context::CancelFunc{};
    CHECK(two.err() == errc::canceled);
}

TEST_CASE("a callback of the CancelFunc that an assignment drops sees the new one in place") {
    auto [one, cancel] = context::with_cancel(context::background());
    auto [two, cancel_two] = context::with_cancel(context::background());
    const std::stop_callback call_again(one.done(), [&] { cancel(); });
    cancel = std::move(cancel_two);
    CHECK(one.err() == errc::canceled);
    CHECK(two.err() == errc::canceled);
}

TEST_CASE("both members of a pair can be assigned from another pair") {
    auto pair = context::with_cancel(context::background());
    const context::Context first = pair.ctx;
    pair = context::with_timeout(context::background(), 1h);
    CHECK(first.err() == errc::canceled);
    CHECK_FALSE(pair.ctx.err());
    pair.cancel();
    CHECK(pair.ctx.err() == errc::canceled);
}

TEST_CASE("CancelFuncs can be kept in a vector") {
    std::vector<context::Context> contexts;
    {
        std::vector<context::CancelFunc> cancels;
        for (int i = 0; i < 100; ++i) {
            auto [ctx, cancel] = context::with_cancel(context::background());
            contexts.push_back(ctx);
            cancels.push_back(std::move(cancel));
        }
        for (const auto& ctx : contexts) CHECK_FALSE(ctx.err());
    }
    for (const auto& ctx : contexts) CHECK(ctx.err() == errc::canceled);
}

TEST_CASE("a CancelFunc works after every handle of its context is gone") {
    auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    ctx = context::background();
    CHECK_FALSE(child.err());
    cancel();
    CHECK(child.err() == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded, "a CancelFunc may be called and dropped on any thread") {
    auto [ctx, cancel] = context::with_cancel(context::background());
    auto [child, cancel_child] = context::with_cancel(ctx);
    std::jthread([&] { cancel_child(); }).join();
    CHECK(child.err() == errc::canceled);
    CHECK_FALSE(ctx.err());
    std::jthread([dropped = std::move(cancel)] {}).join();
    CHECK(ctx.err() == errc::canceled);
}

TEST_CASE("with_cancel of a context that is done returns that one, and its cause stays") {
    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    cancel_parent(std::make_error_code(std::errc::no_link));
    const auto [child, cancel] = context::with_cancel(parent);
    const auto [because, cancel_because] = context::with_cancel(child);
    cancel_because(std::make_error_code(std::errc::bad_address));
    cancel();
    for (const auto& each : {child, because}) {
        CHECK(&each.done() == &parent.done());
        CHECK(cause(each) == std::errc::no_link);
    }
}

TEST_CASE("the CancelFunc of a context born done does nothing more") {
    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    cancel_parent();
    auto [ctx, cancel] = context::with_cancel(parent);
    CHECK(ctx.err() == errc::canceled);
    cancel();
    cancel = {};
    CHECK(ctx.err() == errc::canceled);
}

// --- The hidden threads --------------------------------------------------------------------------

namespace {

// TimerThreadHeld keeps the timer thread in a callback while it lives.
class TimerThreadHeld {
public:
    TimerThreadHeld() {
        const std::thread::id here = std::this_thread::get_id();
        do {
            on_done_.reset();
            timed_ = context::with_timeout(context::background(), 1ms);
            on_done_.emplace(timed_.ctx.done(), [this, here] {
                id_ = std::this_thread::get_id();
                if (id_ == here) return;  // the deadline had passed
                entered_.count_down();
                released_.wait();
            });
        } while (id_.load() == here);
        entered_.wait();
    }
    TimerThreadHeld(const TimerThreadHeld&) = delete;
    TimerThreadHeld& operator=(const TimerThreadHeld&) = delete;
    ~TimerThreadHeld() { released_.count_down(); }
    std::thread::id id() const { return id_; }

private:
    std::latch entered_{1}, released_{1};
    std::atomic<std::thread::id> id_;
    context::Cancellable timed_;
    std::optional<std::stop_callback<std::function<void()>>> on_done_;
};

void spin_until(context::time_point when) {
    while (steady_clock::now() <= when) std::this_thread::yield();
}

// Canceller cancels a context when it is destroyed.
struct Canceller {
    std::optional<context::Cancellable> held;
};
const context::Key<Canceller> canceller{"canceller"};

}  // namespace

TEST_CASE_FIXTURE(Bounded, "a value that the helper thread destroys may cancel any context") {
    std::latch dropped(1);
    std::promise<void> inner_done;
    auto inner = context::with_cancel(context::background());
    context::after_func(inner.ctx, [&] { inner_done.set_value(); });
    {
        const auto [ctx, cancel] = context::with_cancel(
            context::with_value(context::background(), canceller, Canceller{std::move(inner)}));
        context::after_func(ctx, [&] { dropped.wait(); });
        cancel();
    }
    dropped.count_down();
    inner_done.get_future().wait();
}

TEST_CASE_FIXTURE(Bounded, "a value that the timer thread destroys may cancel any context") {
    std::promise<void> inner_done;
    auto inner = context::with_timeout(context::background(), 1h);
    context::after_func(inner.ctx, [&] { inner_done.set_value(); });
    std::optional timed(context::with_timeout(
        context::with_value(context::background(), canceller, Canceller{std::move(inner)}), 1ms));
    const std::stop_token done = timed->ctx.done();
    const std::stop_callback drop(done, [&] { timed.reset(); });
    inner_done.get_future().wait();
}

TEST_CASE_FIXTURE(Bounded, "a function of after_func may own the StopFunc that is being called") {
    struct Owner {
        context::StopFunc stop;
    };
    const auto [ctx, cancel] = context::with_cancel(context::background());
    for (const context::Context& parent : {context::background(), ctx}) {
        auto owner = std::make_shared<Owner>();
        owner->stop = context::after_func(parent, [owner] {});
        Owner& last = *owner;
        owner.reset();
        CHECK(last.stop());
    }
}

TEST_CASE_FIXTURE(Bounded, "a callback may destroy the CancelFunc that is being called") {
    auto made = std::make_unique<context::Cancellable>(context::with_timeout({}, 1h));
    const context::Context child = context::with_value(made->ctx, attempt, 1);
    const std::stop_token done = made->ctx.done();
    const std::stop_callback drop(done, [&] { made.reset(); });
    made->cancel();
    CHECK(child.err() == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded, "functions of one context run in the order in which they came") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::vector<int> order;
    std::promise<void> last;
    for (int i = 0; i < 5; ++i) context::after_func(ctx, [&order, i] { order.push_back(i); });
    context::after_func(ctx, [&] { last.set_value(); });
    cancel();
    last.get_future().wait();
    CHECK(order == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE_FIXTURE(Bounded,
                  "a sleep ends at its deadline while a callback holds up the timer thread") {
    const auto [slept, cancel_slept] = context::with_timeout(context::background(), 1h);
    std::promise<std::thread::id> woken_on;
    std::optional<std::stop_callback<std::function<void()>>> on_done;
    context::Cancellable timed;
    std::thread::id timer_thread;
    {
        const TimerThreadHeld held;
        timer_thread = held.id();
        timed = context::with_timeout(slept, 5ms, std::make_error_code(std::errc::io_error));
        on_done.emplace(timed.ctx.done(), [&] { woken_on.set_value(std::this_thread::get_id()); });
        const auto [child, cancel] = context::with_cancel(timed.ctx);
        CHECK(context::sleep_for(child, 10ms) == errc::deadline_exceeded);
        CHECK(cause(child) == std::errc::io_error);
        CHECK(context::wait(timed.ctx) == errc::deadline_exceeded);
        const auto [other, cancel_other] = context::with_timeout(context::background(), 5ms);
        CHECK(context::wait(other) == errc::deadline_exceeded);
    }
    CHECK(woken_on.get_future().get() == timer_thread);
    CHECK_FALSE(slept.err());
}

TEST_CASE_FIXTURE(Bounded,
                  "a deadline that has passed gives its own cause, whichever timer comes first") {
    const auto upper_why = std::make_error_code(std::errc::io_error);
    const auto lower_why = std::make_error_code(std::errc::no_link);
    context::Cancellable upper, lower, born_late, equal;
    {
        const TimerThreadHeld held;
        upper = context::with_timeout(context::background(), 20ms, upper_why);
        equal = context::with_deadline(upper.ctx, *upper.ctx.deadline(), lower_why);
        std::jthread([&] { lower = context::with_timeout(upper.ctx, 10ms, lower_why); }).join();
        spin_until(*upper.ctx.deadline());
        born_late = context::with_timeout(upper.ctx, 0s, lower_why);
        CHECK(cause(born_late.ctx) == upper_why);
    }
    CHECK(context::wait(lower.ctx) == errc::deadline_exceeded);
    CHECK(context::wait(equal.ctx) == errc::deadline_exceeded);
    CHECK(context::wait(upper.ctx) == errc::deadline_exceeded);
    CHECK(cause(lower.ctx) == lower_why);
    CHECK(cause(equal.ctx) == lower_why);
    CHECK(cause(upper.ctx) == upper_why);
}
