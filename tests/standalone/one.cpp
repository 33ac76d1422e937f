// context.hpp is all that this program includes, here and in two.cpp.
#include "context.hpp"

const context::Key<int>& shared_key();
int read_shared_key(const context::Context& ctx);

int main() {
    const auto [ctx, cancel] = context::with_timeout(context::background(), std::chrono::hours(1));
    const context::Context child = context::with_value(ctx, shared_key(), 42);
    if (read_shared_key(child) != 42) return 1;
    cancel();
    return child.err() == context::errc::canceled ? 0 : 1;
}
