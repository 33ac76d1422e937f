// A process exits while 64 threads ask for the addresses of a name. Some of them get their answer
// when all statics are destroyed already.
#include <cstdio>
#include <future>
#include <vector>

#include "net/lookup.hpp"
#include "tests/loopback.hpp"
#include "tests/replaced_getaddrinfo.hpp"

namespace {

// It is made first, and so destroyed last.
const struct LastStatic {
    LastStatic() = default;
    ~LastStatic() {
        std::puts("statics destroyed");
        const int threads = running_threads();
        names::answer(32);
        if (!wait_for([&] { return running_threads() <= threads - 32; })) {
            std::puts("the threads that were answered have not ended");
        }
    }
} last_static;

}  // namespace

int main() {
    auto [ctx, cancel] = context::with_cancel(context::background());
    std::vector<std::future<Lookup>> lookups;
    for (int i = 0; i < 64; ++i) {
        lookups.push_back(std::async(std::launch::async,
                                     [shared = ctx] { return lookup(shared, "silent.test"); }));
    }
    if (!wait_for([] { return names::silent == 64; })) return 1;
    cancel();
    int aborted = 0;
    for (auto& result : lookups) aborted += result.get().error == "context canceled";
    std::printf("%d lookups aborted\n", aborted);
}
