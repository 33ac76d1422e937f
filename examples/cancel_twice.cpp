// cancel_twice: a CancelFunc that is called, called again, forgotten, dropped too early, and kept.
//
// In Go a forgotten cancel leaks: until its deadline or the end of its parent, the child stays in
// the parent's list and its timer runs. Here the destructor of the CancelFunc cancels.
#include <iostream>
#include <string>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::string state(const Context& ctx) { return ctx.err() ? ctx.err().message() : "live"; }

int main() {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::cout << "before:                 " << state(ctx) << '\n';
    cancel();
    std::cout << "after the first call:   " << state(ctx) << '\n';
    cancel();
    std::cout << "after the second call:  " << state(ctx) << '\n';

    std::vector<Context> forgotten;
    for (int i = 0; i < 1000; ++i) {
        const auto [child, never_called] = context::with_timeout(context::background(), 1h);
        forgotten.push_back(child);
    }
    std::erase_if(forgotten, [](const Context& child) { return !child.err(); });
    std::cout << "forgotten:              " << forgotten.size() << " of 1000 are done; none waits "
              << "for its hour\n";

    const Context dropped = context::with_timeout(context::background(), 1h).ctx;
    std::cout << "dropped with the line:  " << state(dropped) << '\n';

    context::CancelFunc kept;
    Context live;
    {
        auto [child, cancel_child] = context::with_timeout(context::background(), 1h);
        live = child;
        kept = std::move(cancel_child);
    }
    std::cout << "moved out of its block: " << state(live) << '\n';
}
