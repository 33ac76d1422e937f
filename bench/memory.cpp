// Bytes of heap, and allocations, for each live context below a live parent: bench/go/memory does
// the same in Go. The handles lie in vectors that are there before.

#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;

static constexpr std::size_t count = 100'000;
static const context::Key<int> key{"key"};

static std::size_t allocations = 0;
void* operator new(std::size_t size) {
    ++allocations;
    if (void* const p = std::malloc(size)) return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

template <class Made, class Make>
static void measure(const char* name, Make make) {
    const auto [parent, cancel] = context::with_cancel(context::background());
    std::vector<Made> made;
    made.reserve(count);
    allocations = 0;
    const std::size_t before = ::mallinfo2().uordblks;
    for (std::size_t i = 0; i < count; ++i) made.push_back(make(parent));
    const std::size_t after = ::mallinfo2().uordblks;
    std::printf("Memory/%s %zu B\n", name, (after - before) / count);
    std::printf("Allocations/%s %zu\n", name, allocations / count);
}

int main() {
    using context::Cancellable;
    using context::Context;
    const auto [ctx, cancel] = context::with_timeout(context::background(), 1h);
    measure<Cancellable>("with_cancel", [](const Context& p) { return context::with_cancel(p); });
    measure<Cancellable>("with_cancel_and_done", [](const Context& p) {
        auto made = context::with_cancel(p);
        (void)made.ctx.done();
        return made;
    });
    measure<Cancellable>("with_timeout",
                         [](const Context& p) { return context::with_timeout(p, 1h); });
    measure<Context>("with_value", [](const Context& p) { return context::with_value(p, key, 1); });
}
