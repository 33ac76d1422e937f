// Windows of a few instructions in context.hpp, which two threads enter together again and again.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::errc;
using std::chrono::steady_clock;

namespace {

// A test that hangs is ended by SIGABRT after two minutes: doctest then says which one it was.
struct Bounded {
    Bounded() {
        std::signal(SIGALRM, [](int) { std::abort(); });
        ::alarm(120);
    }
    ~Bounded() { ::alarm(0); }
};

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
void for_a_while(const std::function<void(int)>& f) {
    const auto end = steady_clock::now() + 2s;
    for (int i = 0; i < 300'000 && (i % 64 || steady_clock::now() < end); ++i) f(i);
}

void spin_for(steady_clock::duration d) {
    const auto end = steady_clock::now() + d;
    while (steady_clock::now() < end) continue;
}

}  // namespace

TEST_CASE_FIXTURE(Bounded, "a context derived while its parent is cancelled is not forgotten") {
    Rival rival;
    int forgotten = 0;
    for_a_while([&](int) {
        const auto [parent, cancel] = context::with_cancel(context::background());
        context::Cancellable child;
        rival.race([&] { cancel(); }, [&] { child = context::with_cancel(parent); });
        if (child.ctx.err() != errc::canceled) ++forgotten;
    });
    CHECK(forgotten == 0);
}

TEST_CASE_FIXTURE(Bounded, "two threads that ask for the first token get the same one") {
    Rival rival;
    int different = 0;
    for_a_while([&](int) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        std::stop_token mine, its;
        rival.race([&] { mine = ctx.done(); }, [&] { its = ctx.done(); });
        cancel();
        if (mine != its || !mine.stop_requested()) ++different;
    });
    CHECK(different == 0);
}

// Whenever the timer thread has ended a context, it looks for the next deadline and sleeps. That
// one is made here at the same moment. If it were missed, it would be waited for until `later`.
TEST_CASE_FIXTURE(Bounded, "a deadline made while the timer thread is about to sleep is served") {
    const auto [later, cancel_later] = context::with_timeout(context::background(), 1h);
    for_a_while([&](int i) {
        const auto [ctx, cancel] = context::with_timeout(later, 20us);
        while (!ctx.err()) continue;
        spin_for(i % 1500 * 1ns);
    });
    CHECK_FALSE(later.err());
}
