// Every public function, in a process that has used nothing before: each allocation, each start of
// a thread and each registration with atexit fails in turn. What throws has changed nothing, the
// next try succeeds, and nothing has leaked.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <new>
#include <ostream>
#include <streambuf>
#include <string>
#include <system_error>

#include "context.hpp"
#include "tests/counted.hpp"

using namespace std::chrono_literals;
using context::Context;
using context::errc;
using std::chrono::steady_clock;

namespace {

constexpr int never = -1;
std::atomic<int> until_fault = never;
std::atomic<int> outstanding = 0;

bool fails_here() {
    if (until_fault == never || until_fault-- > 0) return false;
    until_fault = never;
    return true;
}

}  // namespace

namespace replaced_new {

inline bool allocating() { return !fails_here(); }
inline bool starting() { return !fails_here(); }
inline void allocated() { ++outstanding; }
inline void freed() { --outstanding; }

}  // namespace replaced_new

#include "tests/replaced_pthread_create.hpp"

#ifndef NOTHING_REPLACED
extern "C" void* __dso_handle;
extern "C" int __cxa_atexit(void (*)(void*), void*, void*) noexcept;
extern "C" int atexit(void (*f)()) noexcept {
    if (fails_here()) return -1;
    return __cxa_atexit([](void* g) { reinterpret_cast<void (*)()>(g)(); },
                        reinterpret_cast<void*>(f), &__dso_handle);
}
#endif

namespace {

const context::Key<Counted> counted{"counted"};
const context::Key<std::string> text{"text"};

const char* name = "";
int fault = never;

void check(bool ok, const char* what) {
    if (ok) return;
    until_fault = never;
    std::printf("failed: %s, fault %d: %s\n", name, fault, what);
    std::fflush(stdout);
    std::_Exit(2);
}

// An ostream hides what its buffer throws, so this one has room.
struct Fixed : std::streambuf {
    Fixed() { setp(room.data(), room.data() + room.size()); }
    std::array<char, 1000> room;
};

void ends(const Context& ctx, const context::CancelFunc& cancel) {
    check(!ctx.done().stop_requested(), "born done");
    cancel();
    check(ctx.err() == errc::canceled && ctx.done().stop_requested(), "cancelled, but live");
}

struct Case {
    const char* name;
    void (*run)(const Context& parent);
};
constexpr Case cases[] = {
    {"with_cancel",
     [](const Context& parent) {
         const auto [ctx, cancel] = context::with_cancel(parent);
         ends(ctx, cancel);
     }},
    {"with_cancel, a cause",
     [](const Context& parent) {
         const auto [ctx, cancel] = context::with_cancel(parent);
         cancel(make_error_code(std::errc::io_error));
         check(context::cause(ctx) == std::errc::io_error, "the cause");
         check(ctx.done().stop_requested(), "a token made late");
     }},
    {"with_timeout",
     [](const Context& parent) {
         const auto [ctx, cancel] = context::with_timeout(parent, 1h);
         ends(ctx, cancel);
     }},
    {"with_timeout, a cause",
     [](const Context& parent) {
         const auto why = make_error_code(std::errc::io_error);
         const auto [ctx, cancel] = context::with_timeout(parent, 1h, why);
         ends(ctx, cancel);
     }},
    {"with_deadline",
     [](const Context& parent) {
         const auto [ctx, cancel] = context::with_deadline(parent, steady_clock::now() + 1h);
         ends(ctx, cancel);
     }},
    {"with_deadline, a cause, passed",
     [](const Context& parent) {
         const auto why = make_error_code(std::errc::io_error);
         const auto [ctx, cancel] = context::with_deadline(parent, steady_clock::now(), why);
         check(context::cause(ctx) == why && ctx.done().stop_requested(), "a past deadline");
     }},
    {"with_value",
     [](const Context& parent) {
         const Context ctx = context::with_value(parent, text, std::string(100, 'x'));
         check(ctx.value(text)->size() == 100 && !ctx.done().stop_requested(), "the value");
     }},
    {"without_cancel",
     [](const Context& parent) {
         const Context ctx = context::without_cancel(parent);
         check(!ctx.done().stop_possible() && ctx.value(counted), "detached");
         const auto [child, cancel] = context::with_timeout(ctx, 1h);
         ends(child, cancel);
     }},
    {"todo, copies and moves",
     [](const Context& parent) {
         const auto [child, cancel] = context::with_cancel(context::todo());
         Context copy = child;
         copy = parent;
         const Context moved = std::move(copy);
         check(moved.value(counted) && !context::cause(moved), "the copy");
     }},
    {"below a parent that is done",
     [](const Context& parent) {
         const auto [done, cancel_done] = context::with_cancel(parent);
         cancel_done();
         const auto [child, cancel] = context::with_cancel(done);
         const auto [timed, cancel_timed] = context::with_timeout(child, 1h);
         check(timed.err() == errc::canceled && timed.done().stop_requested(), "born done");
     }},
    {"after_func",
     [](const Context& parent) {
         const auto stop = context::after_func(parent, [held = Counted{}] {});
         check(stop() && !stop(), "not taken back");
     }},
    {"after_func on background",
     [](const Context&) {
         check(context::after_func(context::background(), [held = Counted{}] {})(), "stop");
     }},
    {"wait and sleep_for",
     [](const Context& parent) {
         const auto [ctx, cancel] = context::with_cancel(parent);
         check(!context::sleep_for(parent, 1us) && !context::sleep_for(ctx, 1us), "sleep_for");
         cancel();
         check(context::wait(ctx) == errc::canceled, "wait");
     }},
    {"operator<<",
     [](const Context& parent) {
         Fixed buffer;
         std::ostream out(&buffer);
         out << parent;
         check(out.good(), "the output");
     }},
};

// run_in_child ends with 0 if there was such a fault, otherwise with `no_fault` and the number of
// allocations that the services keep.
constexpr int no_fault = 100;

[[noreturn]] void run_in_child(const Case& each, int kept) {
    const auto [top, cancel_top] = context::with_cancel(context::background());
    const Context parent = context::with_value(top, counted, Counted{});
    const auto [sibling, cancel_sibling] = context::with_cancel(parent);
    check(!sibling.done().stop_requested(), "the sibling is born done");
    const int before = outstanding;
    bool threw = false;
    until_fault = fault;
    try {
        each.run(parent);
    } catch (const std::bad_alloc&) {
        threw = true;
    } catch (const std::system_error& error) {
        threw = error.code() == std::errc::resource_unavailable_try_again;
    }
    const bool faulty = fault != never && until_fault.exchange(never) == never;
    check(threw == faulty, "a fault is not reported, or something else throws");
    check(Counted::alive() == 1, "a value or a function is left behind");
    check(!parent.err() && !sibling.err(), "the parent or the sibling has ended");
    if (!faulty) std::exit(no_fault + outstanding - before);

    for (int i = 0; i < 2; ++i) {
        each.run(parent);
        check(outstanding == before + kept, "an allocation is left behind");
    }
    const auto [timed, cancel_timed] = context::with_timeout(sibling, 1ms);
    check(context::wait(timed) == errc::deadline_exceeded, "the deadline of a child");
    std::promise<void> ran;
    context::after_func(timed, [&] { ran.set_value(); });
    ran.get_future().wait();
    const auto [child, cancel] = context::with_cancel(sibling);
    cancel_top();
    check(child.done().stop_requested() && sibling.done().stop_requested(), "the parent's cancel");
    std::exit(0);
}

// run forks, because every fault is to meet the first use.
int run(const Case& each, int kept) {
    const pid_t child = ::fork();
    check(child >= 0, "fork");
    if (child == 0) run_in_child(each, kept);
    int status = 0;
    check(::waitpid(child, &status, 0) == child && WIFEXITED(status), "it terminates");
    return WEXITSTATUS(status);
}

}  // namespace

int main() {
    for (const Case& each : cases) {
        name = each.name;
        fault = never;
        const int kept = run(each, 0) - no_fault;
        check(kept >= 0, "it fails without a fault");
        int status = 0;
        for (fault = 0; (status = run(each, kept)) == 0; ++fault) continue;
        check(status == no_fault + kept, "a fault is not survived");
    }
    std::puts("ok");
    return 0;
}
