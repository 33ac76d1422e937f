// cleanup: work that must still be done after a cancel. With the context that is done, it would be
// aborted at once. without_cancel() keeps the values of that context and nothing else;
// with_timeout() adds a limit of its own, so that a cleanup that hangs does not hang forever.
#include <iostream>
#include <string>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static const context::Key<std::string> file{"file"};

// request asks the store for something, and waits as long as the store takes.
static void request(const Context& ctx, const char* what, context::duration takes) {
    const std::error_code aborted = context::sleep_for(ctx, takes);
    std::cout << what << ' ' << *ctx.value(file) << ": " << (aborted ? aborted.message() : "done")
              << std::endl;
}

static void cleanup(const Context& ctx, context::duration takes) {
    const auto [own, cancel] = context::with_timeout(context::without_cancel(ctx), 1s);
    request(own, "with a limit of its own, remove", takes);
}

static void upload(const Context& ctx) {
    request(ctx, "upload", 1h);
    request(ctx, "with the same context, remove", 10ms);
    cleanup(ctx, 10ms);
    cleanup(ctx, 1h);  // the store hangs
}

int main() {
    const Context named = context::with_value(context::background(), file, "gopher.png");
    const auto [ctx, cancel] = context::with_cancel(named);
    std::jthread uploader(upload, ctx);
    cancel();
}
