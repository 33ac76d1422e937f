// Counts the allocations of each function of context.hpp: Go's TestAllocs, but exact.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>

#include "context.hpp"

using namespace std::chrono_literals;
using context::background;
using context::with_cancel;
using context::with_timeout;

namespace {

std::atomic<int> allocations = 0;

}  // namespace

namespace replaced_new {

inline bool allocating() {
    ++allocations;
    return true;
}
inline void allocated() {}
inline void freed() {}

}  // namespace replaced_new

#include "tests/replaced_new.hpp"

namespace {

const context::Key<int> key{"key"};

int count(const std::function<void()>& f) {
    allocations = 0;
    f();
    return allocations;
}

}  // namespace

int main() {
    const auto parent = with_timeout(background(), 1h);
    const auto done = with_timeout(background(), 0s);
    const auto heard = with_cancel(background());
    const auto derived = with_cancel(parent.ctx);
    const auto timed = with_timeout(parent.ctx, 1h);
    (void)heard.ctx.done();
    const auto stop = context::after_func(background(), [] {});
    context::after_func(parent.ctx, [] {})();  // starts the helper thread

    const struct {
        const char* name;
        int expected;
        std::function<void()> f;
    } rows[] = {
        {"background and todo", 0, [] { (void)context::todo(), (void)background().done(); }},
        {"a copy", 0, [&] { const context::Context copy = parent.ctx; }},
        {"with_value", 1, [&] { (void)with_value(parent.ctx, key, 1); }},
        {"value", 0, [&] { (void)parent.ctx.value(key); }},
        {"without_cancel", 1, [&] { (void)without_cancel(parent.ctx); }},
        {"with_cancel below background, and its end", 1, [] { (void)with_cancel(background()); }},
        {"with_cancel below a parent, and its end", 1, [&] { (void)with_cancel(parent.ctx); }},
        {"with_cancel of a context that is done", 0, [&] { (void)with_cancel(done.ctx); }},
        {"with_timeout, and its end", 1, [&] { (void)with_timeout(parent.ctx, 1min); }},
        {"with_timeout of zero", 1, [&] { (void)with_timeout(parent.ctx, 0s); }},
        {"the first done()", 1, [&] { (void)derived.ctx.done(); }},
        {"the second done()", 0, [&] { (void)derived.ctx.done(); }},
        {"wait on a context that is done", 0, [&] { (void)context::wait(done.ctx); }},
        {"with_cancel and the first sleep_for", 2,
         [] {
             const auto made = with_cancel(background());
             (void)context::sleep_for(made.ctx, 1ns);
         }},
        {"sleep_for", 0, [&] { (void)context::sleep_for(heard.ctx, 1ns); }},
        {"err, cause and deadline", 0,
         [&] { (void)done.ctx.err(), (void)cause(done.ctx), (void)done.ctx.deadline(); }},
        {"after_func", 1, [&] { context::after_func(parent.ctx, [] {}); }},
        {"stop", 0, [&] { (void)stop(); }},
        {"cancel of one that is timed", 0, [&] { timed.cancel(); }},
        {"cancel of all that is derived", 0, [&] { parent.cancel(); }},
    };
    bool all = true;
    for (const auto& [name, expected, f] : rows) {
        const int counted = count(f);
        if (counted == expected) continue;
        std::printf("%s: %d allocations instead of %d\n", name, counted, expected);
        all = false;
    }
    if (all) std::puts("ok");
    return all ? 0 : 1;
}
