// Contexts in large numbers, measured and checked: a million children, a chain a million deep,
// deadlines close together, and a parent that lives through ten million children. It ends with 1 if
// a context is lost, a deadline is early or the heap grows.
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <latch>
#include <random>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Cancellable;
using context::errc;
using std::chrono::steady_clock;

namespace {

double scale = 1;

std::size_t scaled(double count) { return std::max<std::size_t>(1, std::size_t(count * scale)); }

void check(bool ok, const char* what) {
    if (ok) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

void print(const char* what, double figure, const char* unit) {
    std::printf("  %-28s %10.1f %s\n", what, figure, unit);
}

double milliseconds(steady_clock::duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
}

void timed(const char* what, const std::function<void()>& f) {
    const auto start = steady_clock::now();
    f();
    print(what, milliseconds(steady_clock::now() - start), "ms");
}

// The sanitizers for addresses and threads bring an allocator that counts nothing here.
std::size_t heap() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

void wide() {
    const std::size_t count = scaled(1e6);
    std::printf("%zu children of one parent\n", count);
    const auto [parent, cancel] = context::with_cancel(context::background());
    std::vector<Cancellable> children;
    children.reserve(count);
    const std::size_t before = heap();
    timed("build", [&] {
        while (children.size() < count) children.push_back(context::with_cancel(parent));
    });
    print("heap for each", double(heap() - before) / double(count), "bytes");
    for (const auto& child : children) check(!child.ctx.err(), "a child is born done");
    timed("cancel by one call", [&, &end = cancel] { end(); });
    for (const auto& child : children) check(child.ctx.err() == errc::canceled, "a child is lost");
    timed("drop", [&] { children.clear(); });
    check(heap() <= before + 100'000, "children have leaked");
}

void deep() {
    const std::size_t count = scaled(1e6);
    std::printf("a chain of %zu, on a stack of 8 MiB\n", count);
    std::vector<context::CancelFunc> cancels;
    cancels.reserve(count);
    const std::size_t before = heap();
    context::Context leaf;
    timed("build", [&] {
        while (cancels.size() < count) {
            auto made = context::with_cancel(leaf);
            leaf = std::move(made.ctx);
            cancels.push_back(std::move(made.cancel));
        }
    });
    check(!leaf.err(), "the leaf is born done");
    timed("cancel by one call", [&] { cancels[0](); });
    check(leaf.err() == errc::canceled, "the leaf is lost");
    timed("drop", [&] {
        cancels.clear();
        leaf = {};
    });
    check(heap() <= before + 100'000, "the chain has leaked");
}

void on_a_stack_of_8_mib(void (*f)()) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    check(pthread_attr_setstacksize(&attr, 8 << 20) == 0, "no stack of 8 MiB");
    pthread_t thread;
    const auto run = [](void* function) -> void* {
        (*static_cast<void (**)()>(function))();
        return nullptr;
    };
    check(pthread_create(&thread, &attr, run, &f) == 0, "no thread");
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attr);
}

// The callback runs on the timer thread, so its clock says when the deadline was served.
struct Due {
    Due(const context::Context& parent, context::time_point deadline, std::latch& all_served)
        : when(deadline),
          made(context::with_deadline(parent, when)),
          on_done(made.ctx.done(), [this, &all_served] {
              served = steady_clock::now();
              all_served.count_down();
          }) {}
    const context::time_point when;
    context::time_point served = {};
    const Cancellable made;
    const std::stop_callback<std::function<void()>> on_done;
};

void deadlines() {
    const std::size_t count = scaled(1e5);
    std::printf("%zu deadlines within one second\n", count);
    std::mt19937_64 random(1);
    const auto [parent, cancel] = context::with_cancel(context::background());
    std::latch all_served(static_cast<std::ptrdiff_t>(count));
    std::deque<Due> all;
    const auto start = steady_clock::now() + 1s;
    for (std::size_t i = 0; i < count; ++i)
        all.emplace_back(parent, start + random() % 1'000'000'000 * 1ns, all_served);
    all_served.wait();
    std::vector<double> late;
    for (const Due& due : all) {
        check(due.made.ctx.err() == errc::deadline_exceeded, "a deadline has another reason");
        check(due.served >= due.when, "a deadline is early");
        late.push_back(milliseconds(due.served - due.when));
    }
    std::ranges::sort(late);
    print("late, half of them below", late[count / 2], "ms");
    print("late, 99 % below", late[count * 99 / 100], "ms");
    print("late, the worst", late.back(), "ms");
}

void short_lived() {
    const std::size_t children = scaled(1e7), timeouts = scaled(1e6);
    std::printf("a parent of %zu short-lived children and %zu timeouts\n", children, timeouts);
    const auto [parent, cancel] = context::with_timeout(context::background(), 1h);
    const std::size_t before = heap();
    timed("children", [&, &ctx = parent] {
        for (std::size_t i = 0; i < children; ++i) (void)context::with_cancel(ctx);
    });
    timed("timeouts that are dropped", [&, &ctx = parent] {
        for (std::size_t i = 0; i < timeouts; ++i) (void)context::with_timeout(ctx, 1min);
    });
    timed("timeouts, most served", [&, &ctx = parent] {
        std::deque<Cancellable> recent;
        for (std::size_t i = 0; i < timeouts; ++i) {
            recent.push_back(context::with_timeout(ctx, 10us));
            if (recent.size() > 100) recent.pop_front();
        }
    });
    check(!parent.err(), "the parent is done");
    print("growth of the heap", double(heap()) - double(before), "bytes");
    check(heap() <= before + 100'000, "the parent has grown");
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Contexts in large numbers", "context_load");
    app.add_option("--scale", scale, "of all numbers; 1 by default")->check(CLI::Range(1e-5, 1e3));
    CLI11_PARSE(app, argc, argv);
    ::alarm(600);  // whoever has not ended by then has lost a context
    wide();
    on_a_stack_of_8_mib(deep);
    deadlines();
    short_lived();
    std::puts("nothing is lost, early or growing");
    return 0;
}
