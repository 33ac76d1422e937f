// The function of an after_func calls exit(), on the helper thread.
#include <cstdio>
#include <cstdlib>

#include "context.hpp"

namespace {

struct Static {
    ~Static() { std::puts("statics destroyed"); }
};

}  // namespace

int main() {
    static Static last;
    const auto [ctx, cancel] = context::with_cancel(context::background());
    context::after_func(ctx, [] {
        std::puts("exit");
        std::exit(0);
    });
    cancel();
    context::wait(context::background());
    return 1;
}
