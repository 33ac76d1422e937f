// The eight musts of context.hpp that tests/README.md lists, one section each: what holds for the
// tree as a whole, across threads and at any size. What needs a process of its own is in programs/.
#include "context.hpp"

#include <doctest/doctest.h>
#include <malloc.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "tests/bounded.hpp"
#include "tests/counted.hpp"

using namespace std::chrono_literals;
using context::errc;
using std::chrono::steady_clock;

namespace {

const context::Key<std::size_t> number{"number"};
const context::Key<Counted> counted{"counted"};

using OnDone = std::stop_callback<std::function<void()>>;

// passes_through gives a context its place far below `parent`, with nothing between that cancels.
context::Context passes_through(context::Context ctx) {
    for (std::size_t i = 0; i < 3; ++i) ctx = context::with_value(ctx, number, i);
    return ctx;
}

// on_another_thread runs f there and waits for it, so it hangs where f needs a lock of the caller.
void on_another_thread(const std::function<void()>& f) { std::async(std::launch::async, f).get(); }

// BusyTimers keeps the timer thread in a callback for as long as it lives.
class BusyTimers {
public:
    BusyTimers() {
        const auto here = std::this_thread::get_id();
        bool too_late = true;  // to register it before the deadline: it has run here
        while (std::exchange(too_late, false)) {
            on_done_.reset();
            timed_ = context::with_timeout(context::background(), 1ms);
            on_done_.emplace(timed_.ctx.done(), [this, here, &too_late] {
                if (std::this_thread::get_id() == here) {
                    too_late = true;
                    return;
                }
                busy_.count_down();
                release_.wait();
            });
        }
        busy_.wait();
    }
    ~BusyTimers() { release_.count_down(); }

private:
    std::latch busy_{1}, release_{1};
    context::Cancellable timed_;
    std::optional<OnDone> on_done_;
};

std::size_t threads_of_this_process() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

// --- 1. What a cancel reaches --------------------------------------------------------------------

TEST_CASE("a cancel reaches all below it, with its reason, and nobody else") {
    const auto [root, cancel_root] = context::with_cancel(context::background());
    const auto [uncle, cancel_uncle] = context::with_cancel(root);
    const auto [cousin, cancel_cousin] = context::with_cancel(uncle);
    const auto [parent, cancel_parent] = context::with_cancel(root);
    const auto [elder, cancel_elder] = context::with_cancel(parent);
    const auto [ctx, cancel] = context::with_cancel(parent);
    const auto [younger, cancel_younger] = context::with_cancel(parent);
    const auto [child, cancel_child] = context::with_cancel(passes_through(ctx));
    const auto [second, cancel_second] = context::with_timeout(ctx, 1h);
    const auto [grandchild, cancel_grandchild] = context::with_cancel(child);
    cancel();
    for (const auto& each : {ctx, child, second, grandchild, passes_through(grandchild)}) {
        CHECK(each.err() == errc::canceled);
        CHECK(each.done().stop_requested());
    }
    for (const auto& each : {root, uncle, cousin, parent, elder, younger}) {
        CHECK_FALSE(each.err());
        CHECK_FALSE(each.done().stop_requested());
    }
}

TEST_CASE("brothers of one that was cancelled are still reached by their parent's cancel") {
    for (int gone = 0; gone < 4; ++gone) {
        const auto [parent, cancel_parent] = context::with_cancel(context::background());
        std::vector<context::Cancellable> children;
        for (int i = 0; i < 4; ++i) children.push_back(context::with_cancel(parent));
        children[static_cast<std::size_t>(gone)].cancel();
        const auto [late, cancel_late] = context::with_cancel(parent);
        cancel_parent();
        for (const auto& each : children) CHECK(each.ctx.err() == errc::canceled);
        CHECK(late.err() == errc::canceled);
    }
}

TEST_CASE("when the first cancel returns all tokens are stopped and all callbacks have run, here") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::vector<context::Cancellable> below;
    std::deque<OnDone> callbacks;
    std::vector<std::thread::id> ran_on;
    const auto watch = [&](const context::Context& watched) {
        callbacks.emplace_back(watched.done(),
                               [&] { ran_on.push_back(std::this_thread::get_id()); });
    };
    watch(ctx);
    for (std::size_t i = 0; i < 100; ++i) {
        below.push_back(context::with_cancel(passes_through(i < 3 ? ctx : below[i / 3].ctx)));
        watch(below.back().ctx);
        watch(below.back().ctx);
    }
    cancel();
    CHECK(ran_on.size() == 201);
    for (const auto id : ran_on) CHECK(id == std::this_thread::get_id());
    for (const auto& each : below) CHECK(each.ctx.done().stop_requested());
}

TEST_CASE_FIXTURE(Bounded, "a later cancel does not wait for the callbacks of the first") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    const auto [grandchild, cancel_grandchild] = context::with_cancel(child);
    std::latch entered{1}, release{1};
    const std::stop_callback slow(ctx.done(), [&] {
        entered.count_down();
        release.wait();
    });
    const std::jthread first([&] { cancel(); });
    entered.wait();
    cancel();
    cancel_child();
    for (const auto& each : {ctx, child, grandchild}) CHECK(each.err() == errc::canceled);
    release.count_down();
}

TEST_CASE_FIXTURE(Bounded, "a cancel does not wait for the callbacks of a child's own cancel") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    const auto [sibling, cancel_sibling] = context::with_cancel(ctx);
    std::latch entered{1}, release{1};
    const std::stop_callback slow(child.done(), [&] {
        entered.count_down();
        release.wait();
    });
    const std::jthread first([&] { cancel_child(); });
    entered.wait();
    CHECK_FALSE(ctx.err());
    cancel();
    CHECK(sibling.done().stop_requested());
    release.count_down();
}

TEST_CASE_FIXTURE(Bounded, "when any of several cancels returns, all below have the reason") {
    std::atomic<int> without_reason = 0;
    for (int round = 0; round < 200 / slowdown; ++round) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        std::vector<context::Cancellable> below;
        below.push_back(context::with_cancel(ctx));
        for (std::size_t i = 1; i < 300; ++i)
            below.push_back(context::with_cancel(below[i / 2].ctx));
        std::latch start{3};
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                cancel();
                if (ctx.err() != errc::canceled) ++without_reason;
                for (auto each = below.rbegin(); each != below.rend(); ++each) {
                    if (each->ctx.err() != errc::canceled) ++without_reason;
                }
            });
        }
    }
    CHECK(without_reason.load() == 0);
}

TEST_CASE_FIXTURE(Bounded, "a cancel that is not the first waits until all below have the reason") {
    // So many that the first cancel takes longer than a thread is left alone on one processor.
    std::vector<context::Cancellable> below(1'000'000 / slowdown);
    int without_reason = 0;
    for (int round = 0; round < 5; ++round) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        for (auto& each : below) each = context::with_cancel(ctx);
        const std::jthread first(std::cref(cancel));
        while (!ctx.err()) std::this_thread::yield();
        cancel();
        for (const auto& each : below)
            if (each.ctx.err() != errc::canceled) ++without_reason;
    }
    CHECK(without_reason == 0);
}

TEST_CASE_FIXTURE(Bounded, "a parent and its child may be cancelled at once") {
    std::atomic<int> wrong = 0;
    for (int round = 0; round < 1000 / slowdown; ++round) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        const auto [child, cancel_child] = context::with_cancel(ctx);
        const auto [grandchild, cancel_grandchild] = context::with_cancel(child);
        const auto [sibling, cancel_sibling] = context::with_cancel(ctx);
        std::atomic<int> calls = 0;
        const OnDone on_child(child.done(), [&] { ++calls; });
        const OnDone on_grandchild(grandchild.done(), [&] { ++calls; });
        {
            std::latch start{2};
            const std::jthread other([&] {
                start.arrive_and_wait();
                cancel_child();
                if (!child.err() || !grandchild.err()) ++wrong;
            });
            start.arrive_and_wait();
            cancel();
            if (!ctx.err() || !child.err() || !grandchild.err() || !sibling.err()) ++wrong;
        }
        if (calls != 2) ++wrong;
    }
    CHECK(wrong.load() == 0);
}

// A tree of all kinds of contexts grows, ends and goes at random, and is compared with a plain
// model of it after every step.
TEST_CASE_FIXTURE(Bounded, "a random tree always agrees with a model of it") {
    struct Member {
        const Member* parent = nullptr;
        context::Context ctx = {};
        context::CancelFunc cancel = {};
        bool has_cancel = false;
        std::error_code err = {};
        std::optional<context::time_point> deadline = {};
        std::size_t number = 0;  // of the nearest value; 0 if there is none
        int calls = 0;
        std::unique_ptr<OnDone> on_done = {};
    };
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    std::mt19937 random(seed);
    int wrong_callbacks = 0;
    for (int round = 0; round < 50 / slowdown; ++round) {
        std::deque<Member> model(1);
        std::vector<Member*> held{&model[0]};
        const auto end = [&](const Member& top) {
            for (Member& m : model) {
                const Member* above = &m;
                while (above && above != &top) above = above->parent;
                if (above && !m.err) m.err = errc::canceled;
            }
        };
        const auto derive = [&](const Member& parent) {
            Member& m = model.emplace_back(Member{&parent});
            std::tie(m.err, m.deadline, m.number) =
                std::tie(parent.err, parent.deadline, parent.number);
            const auto hold = [&](context::Cancellable made) {
                m.ctx = std::move(made.ctx);
                m.cancel = std::move(made.cancel);
                m.has_cancel = true;
            };
            if (const auto kind = random() % 10; kind < 4) {
                hold(context::with_cancel(parent.ctx));
            } else if (kind < 6) {
                m.number = model.size();
                m.ctx = context::with_value(context::with_value(parent.ctx, number, m.number),
                                            counted, Counted{});
            } else if (kind < 9) {
                const auto when = steady_clock::now() + 1h + random() % 1000 * 1s;
                hold(context::with_deadline(parent.ctx, when));
                if (!m.deadline || when < *m.deadline) m.deadline = when;
            } else {
                const auto when = steady_clock::now();
                hold(context::with_deadline(parent.ctx, when));
                if (!m.err) m.err = errc::deadline_exceeded;
                if (!m.deadline || when < *m.deadline) m.deadline = when;
            }
            held.push_back(&m);
        };
        for (int step = 0; step < 200; ++step) {
            const std::size_t picked = random() % held.size();
            Member& m = *held[picked];
            const auto action = random() % 10;
            if (action < 6 || picked == 0) {
                derive(m);
            } else if (action < 8 && !m.on_done) {
                m.on_done = std::make_unique<OnDone>(m.ctx.done(), [&] {
                    ++m.calls;
                    if (!m.ctx.err() || !m.ctx.done().stop_requested()) ++wrong_callbacks;
                });
            } else if (action < 9) {
                if (m.has_cancel) end(m);
                m.cancel();
            } else {
                if (m.has_cancel) end(m);
                m.on_done.reset();
                m.ctx = context::background();
                m.cancel = context::CancelFunc{};
                held.erase(held.begin() + static_cast<long>(picked));
            }
            for (const Member* each : held) {
                CAPTURE(step);
                REQUIRE(each->ctx.err() == each->err);
                REQUIRE(each->ctx.deadline() == each->deadline);
                REQUIRE(each->calls == (each->on_done && each->err ? 1 : 0));
                const std::size_t* const nearest = each->ctx.value(number);
                REQUIRE((nearest ? *nearest : 0) == each->number);
            }
        }
        std::shuffle(held.begin(), held.end(), random);
        for (Member* each : held) {
            each->on_done.reset();
            each->ctx = context::background();
            each->cancel = context::CancelFunc{};
        }
        REQUIRE(Counted::alive() == 0);
    }
    CHECK(wrong_callbacks == 0);
}

// --- 2. What a child has of its parent -----------------------------------------------------------

TEST_CASE("a child of a cancelled context is born cancelled") {
    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    cancel_parent();
    const auto [child, cancel_child] = context::with_cancel(parent);
    const auto [below_values, cancel_below_values] = context::with_cancel(passes_through(parent));
    const auto [timed, cancel_timed] = context::with_timeout(parent, 1h);
    const auto [grandchild, cancel_grandchild] = context::with_cancel(child);
    for (const auto& each : {child, below_values, timed, grandchild}) {
        CHECK(each.err() == errc::canceled);
        CHECK(each.done().stop_requested());
    }
}

TEST_CASE_FIXTURE(Bounded,
                  "a child of a context whose deadline has passed is born with its reason") {
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1ms);
    context::wait(parent);
    const auto [child, cancel_child] = context::with_cancel(passes_through(parent));
    CHECK(child.err() == errc::deadline_exceeded);
}

TEST_CASE_FIXTURE(Bounded, "a child that is derived during the cancel is cancelled too") {
    int alive = 0;
    for (int round = 0; round < 500 / slowdown; ++round) {
        std::vector<context::Cancellable> chain;
        chain.push_back(context::with_cancel(context::background()));
        while (chain.size() < 200) chain.push_back(context::with_cancel(chain.back().ctx));
        const context::Context leaf = passes_through(chain.back().ctx);
        std::vector<context::Cancellable> children;
        {
            std::latch start{2};
            const std::jthread deriving([&] {
                start.arrive_and_wait();
                do {
                    children.push_back(context::with_cancel(leaf));
                    children.push_back(context::with_timeout(leaf, 1h));
                    children.push_back(context::with_cancel(children.front().ctx));
                } while (!leaf.err());
            });
            start.arrive_and_wait();
            chain.front().cancel();
        }
        for (const auto& each : children) {
            alive += each.ctx.err() != errc::canceled || !each.ctx.done().stop_requested();
        }
    }
    CHECK(alive == 0);
}

TEST_CASE_FIXTURE(Bounded, "a deadline in the past counts, although its parent's is yet unserved") {
    const BusyTimers busy;
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1us);
    while (steady_clock::now() < *parent.deadline() + 1us) continue;
    CHECK_FALSE(parent.err());
    const auto [child, cancel_child] = context::with_timeout(parent, 0s);
    const auto [earlier, cancel_earlier] = context::with_timeout(parent, -1h);
    for (const auto& each : {child, earlier}) CHECK(each.err() == errc::deadline_exceeded);
    CHECK(child.deadline() == parent.deadline());
}

TEST_CASE("a cancel passes through values, above and below") {
    const auto [top, cancel_top] = context::with_cancel(passes_through(context::background()));
    const context::Context value = passes_through(top);
    const auto [low, cancel_low] = context::with_cancel(value);
    const context::Context lowest = passes_through(low);
    int calls = 0;
    const OnDone on_value(value.done(), [&] { ++calls; });
    const OnDone on_lowest(lowest.done(), [&] { ++calls; });
    cancel_top();
    CHECK(calls == 2);
    for (const auto& each : {top, value, low, lowest}) CHECK(each.err() == errc::canceled);
}

TEST_CASE("a deadline passes through values") {
    const auto [top, cancel_top] = context::with_timeout(context::background(), 1h);
    const auto [low, cancel_low] = context::with_timeout(passes_through(top), 2h);
    CHECK(low.deadline() == top.deadline());
    CHECK(passes_through(low).deadline() == top.deadline());
}

// --- 3. The reason -------------------------------------------------------------------------------

TEST_CASE("a callback sees the reason, of its context and of all that end with it") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    const auto [grandchild, cancel_grandchild] = context::with_cancel(passes_through(child));
    int calls = 0, without_reason = 0;
    const auto look = [&] {
        ++calls;
        for (const auto& each : {ctx, child, grandchild}) {
            if (each.err() != errc::canceled) ++without_reason;
        }
    };
    const OnDone on_ctx(ctx.done(), look);
    const OnDone on_child(child.done(), look);
    const OnDone on_grandchild(grandchild.done(), look);
    cancel();
    CHECK(calls == 3);
    CHECK(without_reason == 0);
}

TEST_CASE_FIXTURE(Bounded, "a thread that sees the stop sees the reason") {
    std::atomic<int> without_reason = 0;
    for (int round = 0; round < 2000 / slowdown; ++round) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        const auto [child, cancel_child] = context::with_cancel(passes_through(ctx));
        std::latch start{3};
        std::vector<std::jthread> threads;
        for (const auto& each : {ctx, child}) {
            threads.emplace_back([&without_reason, &start, each, token = each.done()] {
                start.arrive_and_wait();
                while (!token.stop_requested()) std::this_thread::yield();
                if (!each.err()) ++without_reason;
            });
        }
        start.arrive_and_wait();
        cancel();
    }
    CHECK(without_reason.load() == 0);
}

TEST_CASE_FIXTURE(Bounded,
                  "the first reason stays, in the context and in each of its descendants") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [timed, cancel_timed] = context::with_timeout(ctx, 1ms);
    const auto [below_timed, cancel_below_timed] = context::with_cancel(timed);
    CHECK(context::wait(below_timed) == errc::deadline_exceeded);
    cancel_timed();
    cancel();
    CHECK(ctx.err() == errc::canceled);
    CHECK(timed.err() == errc::deadline_exceeded);
    CHECK(below_timed.err() == errc::deadline_exceeded);

    std::optional<BusyTimers> busy(std::in_place);
    const auto [late, cancel_late] = context::with_timeout(context::background(), 1ms);
    const auto [early, cancel_early] = context::with_cancel(late);
    cancel_early();
    busy.reset();
    CHECK(context::wait(late) == errc::deadline_exceeded);
    CHECK(early.err() == errc::canceled);
}

TEST_CASE_FIXTURE(Bounded,
                  "of a cancel and a deadline that race, the first gives the reason to all") {
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    std::mt19937 random(seed);
    int wrong = 0;
    for (int round = 0; round < 5000 / slowdown; ++round) {
        const auto timeout = 1us * (random() % 100);
        const auto cancel_at = steady_clock::now() + 1us * (random() % 200);
        auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
        const auto [child, cancel_child] = context::with_cancel(passes_through(ctx));
        std::atomic<int> calls = 0;
        std::error_code in_callback;
        const OnDone on_done(child.done(), [&, c = child] {
            in_callback = c.err();
            ++calls;
        });
        while (steady_clock::now() < cancel_at) {
            if (ctx.err() && ctx.err() != errc::deadline_exceeded) ++wrong;
        }
        cancel();
        const std::error_code why = ctx.err();
        if (!why || child.err() != why) ++wrong;
        cancel = {};
        while (calls == 0) std::this_thread::yield();
        if (in_callback != why || calls != 1 || ctx.err() != why || child.err() != why) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE_FIXTURE(Bounded, "callbacks run once, however many cancel") {
    std::atomic<int> calls = 0;
    const int rounds = 1000 / slowdown;
    for (int round = 0; round < rounds; ++round) {
        const auto [ctx, cancel] = context::with_timeout(context::background(), 30us);
        const auto [child, cancel_child] = context::with_cancel(ctx);
        const OnDone on_done(child.done(), [&] { ++calls; });
        std::latch start{2};
        const std::jthread other([&] {
            start.arrive_and_wait();
            cancel_child();
        });
        start.arrive_and_wait();
        cancel();
    }
    CHECK(calls.load() == rounds);
}

// --- 4. Callbacks --------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Bounded, "a callback runs on the thread that cancels") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    std::vector<std::thread::id> ran_on;
    const auto note = [&] { ran_on.push_back(std::this_thread::get_id()); };
    const OnDone on_ctx(ctx.done(), note);
    const OnDone on_child(child.done(), note);
    std::thread::id canceller;
    on_another_thread([&] {
        canceller = std::this_thread::get_id();
        cancel();
    });
    CHECK(ran_on == std::vector{canceller, canceller});
}

TEST_CASE("a callback on a context that is done runs at once, here") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    cancel();
    std::thread::id ran_on;
    const OnDone on_done(ctx.done(), [&] { ran_on = std::this_thread::get_id(); });
    CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE_FIXTURE(Bounded,
                  "a callback may use every context of its tree, here and on other threads") {
    auto [parent, cancel_parent] = context::with_cancel(context::background());
    auto [ctx, cancel] = context::with_timeout(parent, 1h);
    auto [child, cancel_child] = context::with_cancel(ctx);
    auto [sibling, cancel_sibling] = context::with_timeout(parent, 1h);
    int calls = 0, wrong = 0;
    const auto use_all = [&] {
        const auto use = [&] {
            if (context::wait(ctx) != errc::canceled || !child.err()) ++wrong;
            if (context::sleep_for(ctx, 1h) != errc::canceled) ++wrong;
            if (context::with_cancel(ctx).ctx.err() != errc::canceled) ++wrong;
            if (context::with_timeout(passes_through(child), 1h).ctx.err() != errc::canceled) {
                ++wrong;
            }
            const auto [fresh, cancel_fresh] = context::with_cancel(parent);
            const auto [timed, cancel_timed] = context::with_timeout(parent, 1ms);
            if (fresh.err() || !fresh.done().stop_possible()) ++wrong;
            if (!context::wait(timed)) ++wrong;
            cancel_child();
            cancel();
            cancel_fresh();
            if (!ctx.done().stop_requested()) ++wrong;
        };
        use();
        on_another_thread(use);
        ++calls;
    };
    const OnDone on_ctx(ctx.done(), use_all);
    const OnDone on_child(child.done(), use_all);
    cancel();
    CHECK(calls == 2);
    CHECK(wrong == 0);
    CHECK_FALSE(parent.err());
    CHECK_FALSE(sibling.err());
}

TEST_CASE_FIXTURE(Bounded, "a callback may cancel its parent, its siblings and itself") {
    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    const auto [ctx, cancel] = context::with_cancel(parent);
    const auto [sibling, cancel_sibling] = context::with_cancel(parent);
    int calls = 0;
    const OnDone on_sibling(sibling.done(), [&] {
        ++calls;
        cancel_parent();
    });
    const OnDone on_parent(parent.done(), [&] {
        ++calls;
        on_another_thread([&] { cancel_parent(); });
    });
    const OnDone on_ctx(ctx.done(), [&] {
        ++calls;
        cancel();
        on_another_thread([&] { cancel_sibling(); });
    });
    cancel();
    CHECK(calls == 3);
    CHECK(parent.err() == errc::canceled);
    CHECK(sibling.err() == errc::canceled);
}

TEST_CASE("a callback may register another one") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const auto [child, cancel_child] = context::with_cancel(ctx);
    std::optional<OnDone> on_ctx, on_child;
    int calls = 0;
    const OnDone first(ctx.done(), [&] {
        on_ctx.emplace(ctx.done(), [&] { ++calls; });
        on_child.emplace(child.done(), [&] { ++calls; });
    });
    cancel();
    CHECK(calls == 2);
}

TEST_CASE("a callback may drop the last handles of its context, and those around it") {
    {
        std::optional<context::Cancellable> parent = context::with_cancel(context::background());
        std::optional<context::Cancellable> ctx =
            context::with_cancel(context::with_value(parent->ctx, counted, Counted{}));
        std::optional<context::Cancellable> child =
            context::with_cancel(context::with_value(ctx->ctx, counted, Counted{}));
        const std::stop_token of_child = child->ctx.done();
        int calls = 0;
        const OnDone on_ctx(ctx->ctx.done(), [&] {
            ++calls;
            child.reset();
            ctx->ctx = context::background();
            parent.reset();
        });
        const OnDone on_child(of_child, [&] { ++calls; });
        ctx->cancel();
        CHECK(calls == 2);
        CHECK(of_child.stop_requested());
    }
    CHECK(Counted::alive() == 0);
}

TEST_CASE("a callback may drop the CancelFunc that is being called") {
    std::optional<context::Cancellable> made =
        context::with_cancel(context::with_value(context::background(), counted, Counted{}));
    int calls = 0;
    const OnDone drop(made->ctx.done(), [&] {
        ++calls;
        made.reset();
    });
    made->cancel();
    CHECK(calls == 1);
    CHECK_FALSE(made);
    CHECK(Counted::alive() == 0);
}

TEST_CASE_FIXTURE(Bounded, "a callback of a deadline may cancel, derive, read and drop all") {
    std::promise<std::error_code> nested;
    std::optional<context::Cancellable> made =
        context::with_timeout(context::with_value(context::background(), counted, Counted{}), 2ms);
    std::optional<context::Cancellable> other = context::with_timeout(context::background(), 1h);
    std::optional<context::Cancellable> next;
    std::optional<OnDone> on_next;
    const std::stop_token done = made->ctx.done();
    const OnDone on_done(done, [&] {
        const std::error_code why = made->ctx.err();
        next = context::with_timeout(context::background(), 1ms);
        on_next.emplace(next->ctx.done(), [&nested, why] { nested.set_value(why); });
        on_another_thread([&] { other.reset(); });
        on_another_thread([&] { (void)context::with_timeout(made->ctx, 1h); });
        made.reset();
    });
    CHECK(nested.get_future().get() == errc::deadline_exceeded);
    context::wait(next->ctx);
    on_next.reset();
    CHECK(done.stop_requested());
}

// --- 5. What is kept, and how long ---------------------------------------------------------------

TEST_CASE("a parent does not keep what is derived from it") {
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1h);
    for (const bool cancel_first : {true, false}) {
        context::Context value = context::with_value(parent, counted, Counted{});
        auto child = context::with_cancel(value);
        auto timed = context::with_timeout(child.ctx, 30min);
        value = context::background();
        if (cancel_first) child.cancel();
        CHECK(Counted::alive() == 1);
        timed = context::Cancellable{};
        child = context::Cancellable{};
        CHECK(Counted::alive() == 0);
    }
}

TEST_CASE("a context that has ended does not keep what is derived from it") {
    const auto [parent, cancel_parent] = context::with_cancel(context::background());
    auto child = context::with_cancel(context::with_value(parent, counted, Counted{}));
    auto asked = context::with_cancel(context::with_value(parent, counted, Counted{}));
    (void)asked.ctx.done();
    cancel_parent();
    auto late = context::with_cancel(context::with_value(parent, counted, Counted{}));
    CHECK(Counted::alive() == 3);
    for (auto* each : {&child, &asked, &late}) *each = context::Cancellable{};
    CHECK(Counted::alive() == 0);
}

TEST_CASE_FIXTURE(Bounded, "the timers do not keep a context whose deadline has passed") {
    for (int i = 0; i < 200 / slowdown; ++i) {
        auto made = context::with_timeout(
            context::with_value(context::background(), counted, Counted{}), 10us);
        context::wait(made.ctx);
    }
    // The timer thread may hold on to the last one for a moment.
    while (Counted::alive() != 0) std::this_thread::yield();
    CHECK(Counted::alive() == 0);
}

TEST_CASE("a child keeps what it needs of a parent whose handles are gone") {
    auto grandparent = context::with_timeout(context::background(), 1h);
    const auto deadline = grandparent.ctx.deadline();
    auto parent = context::with_cancel(context::with_value(grandparent.ctx, number, 7));
    const auto [child, cancel_child] = context::with_cancel(parent.ctx);
    parent.ctx = grandparent.ctx = context::background();
    CHECK(*child.value(number) == 7);
    CHECK(child.deadline() == deadline);
    CHECK_FALSE(child.err());
    grandparent.cancel();
    CHECK(child.err() == errc::canceled);
    const auto [late, cancel_late] = context::with_cancel(child);
    CHECK(late.err() == errc::canceled);
}

TEST_CASE("a child outlives its parent, CancelFunc and all") {
    context::Context child, late;
    context::CancelFunc cancel_child, cancel_late;
    {
        auto parent =
            context::with_cancel(context::with_value(context::background(), counted, Counted{}));
        auto made = context::with_cancel(parent.ctx);
        child = made.ctx;
        cancel_child = std::move(made.cancel);
    }
    CHECK(child.err() == errc::canceled);
    CHECK(child.value(counted));
    {
        auto made = context::with_cancel(child);
        late = made.ctx;
        cancel_late = std::move(made.cancel);
    }
    child = context::background();
    cancel_child = context::CancelFunc{};
    CHECK(late.done().stop_requested());
    CHECK(Counted::alive() == 1);
    late = context::background();
    cancel_late = context::CancelFunc{};
    CHECK(Counted::alive() == 0);
}

TEST_CASE_FIXTURE(Bounded, "no destructor waits for a deadline") {
    {
        const auto [parent, cancel_parent] = context::with_timeout(context::background(), 1h);
        const auto [child, cancel_child] = context::with_timeout(parent, 30min);
        auto moved = context::with_timeout(child, 20min);
        moved = context::with_timeout(parent, 40min);
    }
    CHECK(true);
}

TEST_CASE_FIXTURE(Bounded, "a parent does not grow by a million short-lived children") {
    const int children = 1'000'000 / slowdown;
    const auto [parent, cancel_parent] = context::with_timeout(context::background(), 2h);
    const context::Context value = context::with_value(parent, counted, Counted{});
    const auto live_through = [&](int n) {
        for (int i = 0; i < n; ++i) {
            const auto [child, cancel] = context::with_cancel(value);
            const auto [timed, cancel_timed] = context::with_timeout(child, 1h);
            if (i % 3 == 0) cancel();
        }
    };
    live_through(1000);
    const std::size_t before = ::mallinfo2().uordblks;
    live_through(children);
    const std::size_t after = ::mallinfo2().uordblks;
    CHECK(Counted::alive() == 1);
    CHECK_FALSE(parent.err());
    CHECK(after <= before + 100'000);
}

TEST_CASE_FIXTURE(Bounded, "a child is unlinked alone, however many siblings it has") {
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const int siblings = 200'000 / slowdown;
    for (const bool timed : {false, true}) {
        for (const int order : {0, 1, 2}) {
            const auto [parent, cancel_parent] = context::with_cancel(context::background());
            std::vector<context::Cancellable> children;
            for (int i = 0; i < siblings; ++i) {
                children.push_back(timed ? context::with_timeout(parent, 1h + random() % 1000 * 1s)
                                         : context::with_cancel(parent));
            }
            if (order == 1) std::reverse(children.begin(), children.end());
            if (order == 2) std::shuffle(children.begin(), children.end(), random);
            while (children.size() > 1) children.pop_back();
            cancel_parent();
            CHECK(children[0].ctx.err() == errc::canceled);
        }
    }
}

TEST_CASE_FIXTURE(Bounded, "threads that derive, cancel and drop at random leave nothing behind") {
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    std::atomic<int> wrong = 0;
    {
        struct Slot {
            std::mutex mutex;
            context::Context ctx;
            std::shared_ptr<context::CancelFunc> cancel;
        };
        std::array<Slot, 16> slots;
        const auto work = [&](unsigned thread) {
            std::mt19937 random(seed + thread);
            for (int i = 0; i < 30'000 / slowdown; ++i) {
                Slot& from = slots[random() % slots.size()];
                context::Context ctx;
                std::shared_ptr<context::CancelFunc> cancel;
                {
                    const std::lock_guard lock(from.mutex);
                    ctx = from.ctx;
                    cancel = from.cancel;
                }
                const auto action = random() % 16;
                if (action < 2) {
                    if (!cancel) continue;
                    (*cancel)();
                    if (!ctx.err()) ++wrong;
                    continue;
                }
                if (action < 4) {
                    const OnDone on_done(ctx.done(), [&] {
                        if (!ctx.err()) ++wrong;
                    });
                    continue;
                }
                if (action < 5) ctx = context::background();
                if (action < 9) ctx = context::with_value(ctx, counted, Counted{});
                const std::error_code inherited = ctx.err();
                context::Cancellable made =
                    action % 2 ? context::with_cancel(ctx)
                               : context::with_timeout(ctx, random() % 3 ? 50us : 1h);
                if (inherited && made.ctx.err() != inherited) ++wrong;
                if (action < 12) (void)made.ctx.done();
                auto shared = std::make_shared<context::CancelFunc>(std::move(made.cancel));
                Slot& into = slots[random() % slots.size()];
                const std::lock_guard lock(into.mutex);
                std::swap(into.ctx, made.ctx);
                std::swap(into.cancel, shared);
            }
        };
        std::vector<std::jthread> threads;
        for (unsigned t = 0; t < 4; ++t) threads.emplace_back(work, t);
    }
    while (Counted::alive() != 0) std::this_thread::yield();
    CHECK(wrong.load() == 0);
}

// --- 6. The timer thread -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Bounded, "one thread serves all deadlines, whoever made them") {
    std::mutex mutex;
    std::set<std::thread::id> served_by, made_by;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 20; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5; ++i) {
                const auto [ctx, cancel] = context::with_timeout(context::background(), 1ms);
                const auto here = std::this_thread::get_id();
                bool registered = false;
                std::latch called(1);
                const OnDone on_done(ctx.done(), [&] {
                    called.count_down();
                    const auto runs_on = std::this_thread::get_id();
                    if (runs_on == here && !registered) return;  // the deadline had passed
                    const std::lock_guard lock(mutex);
                    served_by.insert(runs_on);
                });
                registered = true;
                called.wait();  // context::wait may return before the timer thread has called
                const std::lock_guard lock(mutex);
                made_by.insert(std::this_thread::get_id());
            }
        });
    }
    threads.clear();
    REQUIRE(served_by.size() == 1);
    CHECK(made_by.count(*served_by.begin()) == 0);
}

TEST_CASE("deadlines by the thousand take one thread") {
    const std::size_t before = threads_of_this_process();
    std::vector<context::Cancellable> all;
    for (int i = 0; i < 10'000; ++i) {
        all.push_back(context::with_timeout(context::background(), 1h + i * 1ms));
    }
    CHECK(threads_of_this_process() <= before + 1);
}

TEST_CASE_FIXTURE(Bounded,
                  "a deadline of every thread wakes the timer thread from its long sleep") {
    const auto [later, cancel_later] = context::with_timeout(context::background(), 1h);
    for (int t = 0; t < 40; ++t) {
        on_another_thread([&] {
            const auto [ctx, cancel] = context::with_timeout(later, 100us);
            std::latch called(1);
            const OnDone on_done(ctx.done(), [&called] { called.count_down(); });
            called.wait();  // context::wait would return without the timer thread
        });
    }
    CHECK_FALSE(later.err());
}

// --- 7. Depth ------------------------------------------------------------------------------------

namespace {
constexpr std::size_t depth = 1'000'000 / slowdown;
}

TEST_CASE_FIXTURE(Bounded, "a chain of a million contexts can be built, cancelled and dropped") {
    context::Context leaf;
    std::vector<context::CancelFunc> cancels;
    for (std::size_t i = 0; i < depth; ++i) {
        auto made = context::with_cancel(leaf);
        leaf = std::move(made.ctx);
        cancels.push_back(std::move(made.cancel));
    }
    CHECK_FALSE(leaf.err());
    cancels[0]();
    CHECK(leaf.err() == errc::canceled);
    CHECK(leaf.done().stop_requested());
    cancels.clear();
    leaf = context::background();
    CHECK_FALSE(leaf.err());
}

TEST_CASE_FIXTURE(Bounded, "a chain of a million contexts with a callback each can be cancelled") {
    struct Link {
        explicit Link(context::Cancellable m, std::size_t& calls)
            : made(std::move(m)), on_done(made.ctx.done(), [&calls] { ++calls; }) {}
        context::Cancellable made;
        std::stop_callback<std::function<void()>> on_done;
    };
    std::size_t calls = 0;
    {
        std::deque<Link> chain;
        chain.emplace_back(context::with_cancel(context::background()), calls);
        while (chain.size() < depth)
            chain.emplace_back(context::with_cancel(chain.back().made.ctx), calls);
        chain.front().made.cancel();
        CHECK(calls == depth);
        CHECK(chain.back().made.ctx.err() == errc::canceled);
    }
    CHECK(calls == depth);
}

TEST_CASE_FIXTURE(Bounded, "a chain of a million contexts can be dropped from below") {
    std::vector<context::Cancellable> chain;
    chain.push_back(context::with_cancel(context::background()));
    while (chain.size() < depth) chain.push_back(context::with_cancel(chain.back().ctx));
    while (chain.size() > 1) chain.pop_back();
    CHECK_FALSE(chain[0].ctx.err());
}

TEST_CASE_FIXTURE(Bounded, "a chain of a million values can be built, read and dropped") {
    {
        const auto [top, cancel] =
            context::with_cancel(context::with_value({}, counted, Counted{}));
        context::Context leaf = top;
        for (std::size_t i = 0; i < depth; ++i) leaf = context::with_value(leaf, number, i);
        CHECK(*leaf.value(number) == depth - 1);
        CHECK(leaf.value(counted));
        CHECK_FALSE(leaf.err());
        cancel();
        CHECK(leaf.err() == errc::canceled);
        leaf = top;
        CHECK(Counted::alive() == 1);
    }
    CHECK(Counted::alive() == 0);
}

TEST_CASE_FIXTURE(Bounded, "a mixed chain of a million contexts can be ended by a deadline") {
    {
        auto top =
            context::with_timeout(context::with_value({}, counted, Counted{}), 10ms * slowdown);
        context::Context leaf = top.ctx;
        std::vector<context::CancelFunc> cancels;
        for (std::size_t i = 0; i < depth; ++i) {
            if (i % 3 == 0) {
                leaf = context::with_value(leaf, number, i);
                continue;
            }
            auto made = i % 3 == 1 ? context::with_cancel(leaf) : context::with_timeout(leaf, 1h);
            leaf = std::move(made.ctx);
            if (i % 2) (void)leaf.done();
            cancels.push_back(std::move(made.cancel));
        }
        CHECK(context::wait(leaf) == errc::deadline_exceeded);
        CHECK(leaf.deadline() == top.ctx.deadline());
        CHECK(leaf.value(counted));
    }
    while (Counted::alive() != 0) std::this_thread::yield();
}

// --- 8. What a cancel does not do ----------------------------------------------------------------

TEST_CASE_FIXTURE(Bounded, "a cancel does not wait for the work to stop") {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::latch working{1}, may_stop{1};
    std::atomic<bool> stopped = false;
    std::jthread worker([&] {
        working.count_down();
        context::wait(ctx);
        may_stop.wait();
        stopped = true;
    });
    working.wait();
    cancel();
    CHECK_FALSE(stopped);
    may_stop.count_down();
    worker.join();
    CHECK(stopped);
}
