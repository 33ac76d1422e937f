// All that this program includes, here and in two.cpp, is context.hpp. It calls every function of
// it, and needs neither exceptions nor RTTI.
#include "context.hpp"

using namespace std::chrono_literals;

const context::Key<int>& shared_key();
int read_shared_key(const context::Context& ctx);

int main() {
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    const auto late = context::with_deadline(context::todo(), context::time_point::min());
    const context::Context child = context::with_value(ctx, shared_key(), 42);
    if (read_shared_key(child) != 42) return 1;
    if (context::sleep_for(child, 1ns) || child.done().stop_requested()) return 2;
    if (!context::after_func(child, [] {})()) return 3;
    std::ostream(nullptr) << child;

    auto made = context::with_cancel(child);
    const std::stop_callback also(late.ctx.done(), [&made] { made.cancel(); });
    if (context::wait(made.ctx) != context::errc::canceled) return 4;
    cancel(std::make_error_code(std::errc::io_error));
    if (context::without_cancel(child).err() || context::cause(child) != std::errc::io_error)
        return 5;
    return child.err() == context::errc::canceled ? 0 : 6;
}
