// cause: not only that a context was cancelled, but why. err() is one of two error codes; cause()
// is the one that was given to cancel().
#include <iostream>
#include <thread>

#include "context.hpp"

using context::Context;

static std::error_code write_file() { return std::make_error_code(std::errc::no_space_on_device); }

static void upload(const Context& ctx) {
    context::wait(ctx);
    std::cout << "upload aborted: " << ctx.err().message() << '\n'
              << "the reason:     " << context::cause(ctx).message() << '\n';
    if (context::cause(ctx) == std::errc::no_space_on_device) {
        std::cout << "so:             free some space, then try again\n";
    }
}

int main() {
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::jthread uploader([&ctx] { upload(ctx); });
    cancel(write_file());  // an empty code would be no cause
}
