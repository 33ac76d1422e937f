// Each allocation and the start of the thread fail in turn while a name is looked up: then the call
// throws std::bad_alloc or returns an error, leaves nothing behind, and the next one works.
#include <cstdio>
#include <new>
#include <string>
#include <thread>

#include "net/http_get.hpp"
#include "net/lookup.hpp"
#include "tests/faults/injection.hpp"
#include "tests/loopback.hpp"
#include "tests/replaced_getaddrinfo.hpp"

using context::background;
using inject::check;

namespace {

void fail_each_allocation(bool lasting, bool balanced) {
    const int threads = running_threads();
    for (long n = 0;; ++n) {
        const long outstanding = inject::outstanding;
        {
            const auto [ctx, cancel] = context::with_cancel(background());
            inject::allocation.arm(n, lasting);
            try {
                const bool whole = lookup(ctx, "two.test").addresses.size() == 2;
                inject::allocation.disarm();
                check(whole, "both addresses", n);
            } catch (const std::bad_alloc&) {
                inject::allocation.disarm();
                check(inject::allocation.happened, "why it throws", n);
            }
        }
        check(wait_for([&] { return running_threads() <= threads; }), "threads", n);
        check(!balanced || inject::outstanding == outstanding, "memory", n);
        if (!inject::allocation.happened) return;
    }
}

void fail_thread_start() {
    inject::thread_start.arm(0);
    const HttpResult result = http_get(background(), "http://two.test/");
    check(inject::thread_start.happened, "a thread is started", 0);
    inject::thread_start.disarm();
    check(result.error && result.error->reason ==
                              "could not look up \"two.test\": could not start a thread: "
                              "Resource temporarily unavailable",
          result.error ? result.error->reason.c_str() : "an error", 0);
    check(lookup(background(), "two.test").addresses.size() == 2, "the next lookup works", 0);
}

}  // namespace

int main() {
    std::jthread([] {}).join();  // the sanitizer for threads starts one of its own with the first
    // The first pass builds what stays.
    for (const bool balanced : {false, true}) {
        for (const bool lasting : {false, true}) fail_each_allocation(lasting, balanced);
    }
    // If failed starts counted as threads, the last lookup would find no room.
    for (int i = 0; i < 65; ++i) fail_thread_start();
    std::puts("ok");
}
