// Cancelling, by call, destructor or deadline, allocates nothing and starts no thread; nor does
// reading the reason.
#include <pthread.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::errc;

namespace {

std::atomic<bool> forbidden = false;
std::atomic<int> allocations = 0;

}  // namespace

namespace replaced_new {

inline bool allocating() {
    if (forbidden) ++allocations;
    return true;
}
inline void allocated() {}
inline void freed() {}

}  // namespace replaced_new

#include "tests/replaced_new.hpp"

namespace {

using OnDone = std::stop_callback<std::function<void()>>;
std::atomic<int> callbacks = 0;

const context::Key<std::string> key{"key"};

// Tree is a context with 1,000 below it, of all kinds; for half of them somebody has asked done().
struct Tree {
    explicit Tree(context::Cancellable t) : top(std::move(t)) {
        made.reserve(1000);
        watchers.reserve(1000);
        leaf = top.ctx;
        for (int i = 0; i < 1000; ++i) {
            const context::Context& parent = i % 4 == 0 ? top.ctx : leaf;
            const context::Context value = context::with_value(parent, key, std::string(50, 'x'));
            made.push_back(i % 3 ? context::with_cancel(value) : context::with_timeout(value, 1h));
            leaf = made.back().ctx;
            if (i % 2)
                watchers.push_back(std::make_unique<OnDone>(leaf.done(), [] { ++callbacks; }));
        }
    }

    context::Cancellable top;
    context::Context leaf;
    std::vector<context::Cancellable> made;
    std::vector<std::unique_ptr<OnDone>> watchers;
};

void check(bool ok, const char* what) {
    if (ok) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

std::size_t running_threads() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

int main() {
    Tree called(context::with_cancel(context::background()));
    Tree dropped(context::with_timeout(context::background(), 1h));
    Tree expiring(context::with_timeout(context::background(), 300ms));
    const std::stop_token token = expiring.leaf.done();
    const std::size_t threads = running_threads();

    forbidden = true;
    called.top.cancel();
    called.top.cancel();
    dropped.top.cancel = context::CancelFunc{};
    check(called.leaf.err() == errc::canceled, "the reason of the call");
    check(dropped.leaf.err() == errc::canceled, "the reason of the destructor");
    check(context::wait(expiring.leaf) == errc::deadline_exceeded, "the reason of the deadline");
    while (callbacks != 1500) std::this_thread::yield();
    for (Tree* tree : {&called, &dropped, &expiring}) {
        tree->watchers.clear();
        tree->made.clear();
        tree->leaf = context::background();
        tree->top = context::Cancellable{};
    }
    forbidden = false;

    check(allocations == 0, "no allocation");
    check(running_threads() == threads, "no thread");
    std::puts("ok");
    return 0;
}
