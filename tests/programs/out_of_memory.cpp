// Each allocation in turn fails while contexts are derived and used. What throws has changed
// nothing, the next try succeeds, and in the end nothing has leaked.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "context.hpp"
#include "tests/counted.hpp"

using namespace std::chrono_literals;
using context::errc;

namespace {

constexpr int never = -1;
std::atomic<int> until_failure = never;
std::atomic<int> outstanding = 0;

}  // namespace

namespace replaced_new {

inline bool allocating() {
    if (until_failure == never || until_failure-- > 0) return true;
    until_failure = never;
    return false;
}
inline void allocated() { ++outstanding; }
inline void freed() { --outstanding; }

}  // namespace replaced_new

#include "tests/replaced_new.hpp"

namespace {

const context::Key<Counted> counted{"counted"};
const context::Key<std::string> text{"text"};

void check(bool ok, const char* what) {
    if (ok) return;
    until_failure = never;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

// fail_each runs f with its first allocation failing, then with its second one and so on, until it
// runs without a failure. It returns the number of failures.
template <class F, class G>
int fail_each(const F& f, const G& after_failure) {
    for (int n = 0;; ++n) {
        until_failure = n;
        try {
            f();
            check(until_failure != never, "a failed allocation is reported");
            until_failure = never;
            return n;
        } catch (const std::bad_alloc&) {
            check(until_failure == never, "nothing else throws");
            after_failure();
        }
    }
}

// In each of these the parent, its sibling's token and the counts are the witnesses.
void derive_and_fail(const context::Context& parent, bool expect_balance) {
    const auto [sibling, cancel_sibling] = context::with_cancel(parent);
    (void)sibling.done();
    const auto derives = [&](const char* what, int at_least, const auto& f) {
        const context::Context above = context::with_value(parent, counted, Counted{});
        const int alive = Counted::alive();
        const int before = outstanding;
        const auto unchanged = [&] {
            check(Counted::alive() == alive, what);
            check(!expect_balance || outstanding == before, what);
            check(!parent.err() && !sibling.err(), what);
        };
        const int failures = fail_each([&] { f(above); }, unchanged);
        check(failures >= at_least, what);
        unchanged();
    };
    derives("with_cancel", 1, [](const auto& above) { (void)context::with_cancel(above); });
    derives("with_timeout", 1, [](const auto& above) { (void)context::with_timeout(above, 1h); });
    derives("a past deadline", 1, [](const auto& above) {
        check(context::with_timeout(above, 0s).ctx.err() == errc::deadline_exceeded, "past");
    });
    derives("with_value", 1,
            [](const auto& above) { (void)context::with_value(above, counted, Counted{}); });
    derives("with_value of what allocates", 2, [](const auto& above) {
        (void)context::with_value(above, text, std::string(100, 'x'));
    });
    derives("done", 2, [](const auto& above) {
        const auto [ctx, cancel] = context::with_cancel(above);
        check(!ctx.done().stop_requested(), "a fresh token");
        cancel();
        check(ctx.done().stop_requested(), "the token after the cancel");
    });
    derives("a late done", 2, [](const auto& above) {
        const auto [ctx, cancel] = context::with_timeout(above, 1h);
        cancel();
        check(ctx.done().stop_requested() && ctx.err() == errc::canceled, "a late token");
    });
    derives("after_func", 1, [](const auto& above) {
        const auto stop = context::after_func(above, [held = Counted{}] { check(false, "ran"); });
        check(stop(), "it can be taken back");
    });
    derives("wait and sleep_for", 3, [](const auto& above) {
        const auto [ctx, cancel] = context::with_cancel(above);
        const auto [child, cancel_child] = context::with_cancel(ctx);
        check(!context::sleep_for(ctx, 1us), "sleep_for");
        cancel();
        check(context::wait(child) == errc::canceled, "wait");
    });
}

}  // namespace

int main() {
    // The first call of err() and the first deadline of the process are among these.
    fail_each([] { check(!context::background().done().stop_possible(), "background"); }, [] {});
    for (const bool expect_balance : {false, true}) {
        const auto [parent, cancel_parent] = context::with_cancel(context::background());
        derive_and_fail(parent, expect_balance);

        // One and the same context goes on after its token could not be had.
        const auto [child, cancel_child] = context::with_cancel(parent);
        until_failure = 0;
        try {
            (void)child.done();
            check(false, "done reports the failure");
        } catch (const std::bad_alloc&) {
        }
        int calls = 0;
        const auto count = [&] { ++calls; };
        const std::stop_callback on_done(child.done(), count);
        cancel_parent();
        check(calls == 1 && child.err() == errc::canceled, "the cancel reaches the child");
        check(Counted::alive() == 0, "no value is left");
    }
    std::puts("ok");
    return 0;
}
