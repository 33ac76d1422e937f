// Windows of a few instructions in context.hpp, which two threads enter together again and again.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "context.hpp"
#include "tests/bounded.hpp"

using namespace std::chrono_literals;
using context::errc;
using std::chrono::steady_clock;

namespace {

// Rival is a thread that calls a function each time when race does, at the same moment.
class Rival {
public:
    // race returns when both calls have.
    void race(const std::function<void()>& mine, const std::function<void()>& its) {
        its_ = &its;
        ++round_;
        await([&] { return ready_.load() == round_; });
        go_ = round_.load();
        mine();
        await([&] { return finished_.load() == round_; });
    }
    ~Rival() {
        over_ = true;
        ++round_;
    }

private:
    // On one processor nothing happens until the thread that waits gives way.
    template <class Condition>
    static void await(const Condition& condition) {
        for (int tries = 0; !condition(); ++tries) {
            if (tries > 1000) std::this_thread::yield();
        }
    }
    void run() {
        for (int n = 1;; ++n) {
            await([&] { return round_ == n; });
            if (over_) return;
            ready_ = n;
            await([&] { return go_ == n; });
            (*its_)();
            finished_ = n;
        }
    }

    const std::function<void()>* its_ = nullptr;
    std::atomic<bool> over_{false};
    std::atomic<int> round_{0}, ready_{0}, go_{0}, finished_{0};
    std::jthread thread_{[this] { run(); }};
};

// for_a_while calls f up to 300,000 times, and for no longer than two seconds.
void for_a_while(const std::function<void()>& f) {
    const auto end = steady_clock::now() + 2s;
    for (int i = 0; i < 300'000 && steady_clock::now() < end; ++i) f();
}

}  // namespace

// The siblings get their reasons before the parent does, which keeps the tree locked for a while.
TEST_CASE_FIXTURE(Bounded, "a context derived while its parent is being ended is not forgotten") {
    Rival rival;
    int forgotten = 0;
    for_a_while([&] {
        const auto [top, cancel] = context::with_cancel(context::background());
        const auto [parent, cancel_parent] = context::with_cancel(top);
        std::array<context::Cancellable, 30> siblings;
        for (auto& each : siblings) each = context::with_cancel(top);
        context::Cancellable child;
        rival.race([&] { cancel(); },
                   [&, &above = parent] {
                       do child = context::with_cancel(above);
                       while (!above.err());
                   });
        if (child.ctx.err() != errc::canceled) ++forgotten;
    });
    CHECK(forgotten == 0);
}

TEST_CASE_FIXTURE(Bounded, "two threads that ask for the first token get the same one") {
    Rival rival;
    int different = 0;
    for_a_while([&] {
        std::array<context::Cancellable, 50> all;
        for (auto& each : all) each = context::with_cancel(context::background());
        std::array<std::stop_token, 50> mine, its;
        const auto ask = [&](auto& tokens) {
            for (std::size_t i = 0; i < all.size(); ++i) tokens[i] = all[i].ctx.done();
        };
        rival.race([&] { ask(mine); }, [&] { ask(its); });
        if (mine != its) ++different;
    });
    CHECK(different == 0);
}

// Only the sanitizer for threads sees that a token is made while it is stopped.
TEST_CASE_FIXTURE(Bounded, "done may be called while a cancel is busy with a large tree below") {
    Rival rival;
    for (int i = 0; i < 50; ++i) {
        const auto [top, cancel] = context::with_cancel(context::background());
        const auto [ctx, cancel_ctx] = context::with_cancel(top);
        std::vector<context::Cancellable> children(5000);
        for (auto& each : children) each = context::with_cancel(ctx);
        std::stop_token token;
        rival.race([&] { cancel(); }, [&, &below = ctx] { token = below.done(); });
        CHECK(token.stop_requested());
    }
}
