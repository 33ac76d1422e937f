// tree: when a context is cancelled, so are all contexts derived from it, and no others.
#include <iostream>
#include <string>

#include "context.hpp"

using context::Context;

static const context::Key<std::string> user{"user"};

int main() {
    const auto [server, cancel_server] = context::with_cancel(context::background());
    const auto [first, cancel_first] = context::with_cancel(server);
    const auto [query, cancel_query] = context::with_cancel(first);
    const Context named = context::with_value(first, user, "gopher");
    const auto [reply, cancel_reply] = context::with_cancel(named);
    const auto [second, cancel_second] = context::with_cancel(server);

    const auto draw = [&] {
        const auto line = [](const char* drawing, const Context& ctx) {
            std::cout << drawing << (ctx.err() ? ctx.err().message() : "live") << '\n';
        };
        line("background            ", context::background());
        line("`-- server            ", server);
        line("    |-- first         ", first);
        line("    |   |-- query     ", query);
        line("    |   `-- (user)    ", named);
        line("    |       `-- reply ", reply);
        line("    `-- second        ", second);
    };
    draw();
    std::cout << "\ncancel first\n\n";
    cancel_first();
    draw();
}
