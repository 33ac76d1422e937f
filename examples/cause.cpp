// cause: not only that a context was cancelled, but why. err() stays one of two; cause() is what
// the one who cancelled had to say.
//
// Before: four_questions.cpp. Next: monitor.cpp says when the work has really stopped.
#include <iostream>
#include <thread>

#include "context.hpp"

using context::Context;

static std::error_code write_file() { return std::make_error_code(std::errc::no_space_on_device); }

static void upload(const Context& ctx) {
    context::wait(ctx);
    std::cout << "upload stopped: " << ctx.err().message() << '\n'
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
