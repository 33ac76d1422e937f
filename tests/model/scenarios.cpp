// Every interleaving of small scenarios, on the real context.hpp: see tests/model/schedule.hpp.
// `scenarios BOUND`: with at most so many preemptions.

#include "tests/model/std.hpp"
#define thread_local  // each deadline is added as if by another thread
#include "context.hpp"
#undef thread_local

using model::schedule;

// While a scenario runs, each address is given out once. What is freed is overwritten.
alignas(64) std::array<char, 1 << 18> memory;
std::size_t used = 0;
void* operator new(std::size_t size) {
    if (!schedule.is_running) return std::malloc(size);
    ++schedule.blocks;
    return &memory.at(std::exchange(used, used + (size + 63) / 64 * 64));
}
void* operator new(std::size_t size, std::align_val_t) { return operator new(size); }
void operator delete(void* p) noexcept {
    if (p < memory.begin() || p >= memory.end()) return std::free(p);
    --schedule.blocks;
}
void operator delete(void* p, std::size_t n) noexcept { operator delete(std::memset(p, 0x55, n)); }

// What a compiler calls around the making of a static object.
constexpr long long made = 1, being_made = 256;  // the compiler reads the first byte alone
extern "C" int __cxa_guard_acquire(long long* guard) {
    while (*guard == being_made) schedule.wait(guard);
    if (*guard == made) return 0;
    *guard = being_made;
    return 1;
}
extern "C" void __cxa_guard_release(long long* guard) {
    *guard = made;
    if (schedule.is_running) schedule.static_guards.push_back(guard);
    schedule.wake_all(guard);
}

namespace context {

using Box = std::optional<Cancellable>;
const auto why = make_error_code(std::errc::no_link),
           other_why = make_error_code(std::errc::io_error);

struct Scene {
    Box parent = with_cancel(background()), child = with_cancel(parent->ctx);
    Box grandchild = with_cancel(child->ctx);
    const Context p = parent->ctx, c = child->ctx, g = grandchild->ctx;
    Box first, second, third;
    int runs = 0;
};

void explore(const char* promise, void (*scenario)(Scene&)) {
    schedule.explore(promise, [scenario] {
        used = 0;
        Scene scene;
        scenario(scene);
    });
}
void at_once(::std::initializer_list<::model::Work> threads) { schedule.at_once(threads); }
void promise(bool holds) {
    if (!holds) schedule.fail("the promise does not hold");
}
void done_alike(const Context& a, const Context& b) {
    promise(a.err() && a.err() == b.err() && cause(a) == cause(b));
}
Cancellable timeout(int d, const Context& parent = {}) {
    return with_timeout(parent, ::std::chrono::nanoseconds(d));
}
void done_when_due(const Box& box) {
    schedule.pass_time_to(*box->ctx.deadline());
    promise(box->ctx.err() == errc::deadline_exceeded);
}
void exit_process() {
    for (; !schedule.at_exit.empty(); schedule.at_exit.pop_back()) schedule.at_exit.back()();
    schedule.blocks = 0;  // functions of after_func that have not begun stay in memory
}

void explore_all() {
    explore("cancel | cancel | cancel the child: each returns when all is done", [](Scene& s) {
        const auto token = s.g.done();
        const auto cancel = [&] {
            s.parent->cancel(why), promise(!!s.p.err()), done_alike(s.c, s.g);
        };
        at_once({cancel, cancel, [&] { s.child->cancel(other_why), done_alike(s.c, s.g); }});
        promise(cause(s.p) == why && token.stop_requested());
    });
    explore("cancel | cancel the child | derive: no descendant stays live", [](Scene& s) {
        at_once({[&] { s.parent->cancel(why), promise(!!s.p.err()), done_alike(s.c, s.g); },
                 [&] { s.child->cancel(other_why), done_alike(s.c, s.g); },
                 [&] { s.first = with_cancel(s.g); }});
        done_alike(s.c, s.first->ctx);
    });
    explore("cancel | drop a child | drop another: the third is done", [](Scene& s) {
        s.first = with_cancel(s.p), s.second = with_cancel(s.p), (void)s.first->ctx.done();
        at_once({[&] { s.first.reset(); }, [&] { s.second.reset(); }, [&] { s.parent->cancel(); }});
        done_alike(s.p, s.c);
    });
    explore("drop the parent | the child | the grandchild: nothing leaks", [](Scene& s) {
        s.first = with_cancel(background()), s.second = with_cancel(s.first->ctx);
        s.third = with_cancel(s.second->ctx), (void)s.second->ctx.done();
        at_once({[&] { s.first.reset(); }, [&] { s.second.reset(); }, [&] { s.third.reset(); }});
    });
    explore("done | done | cancel: there is one token, with its cause", [](Scene& s) {
        std::stop_token a, b;
        at_once({[&] { a = s.c.done(), promise(!s.c.err() || cause(s.c) == why); },
                 [&] { b = s.c.done(); }, [&] { s.parent->cancel(why); }});
        promise(a == b && a == s.c.done() && a.stop_requested());
    });
    explore("cancel | cancel the child, whose callback uses the tree: it may", [](Scene& s) {
        const std::stop_callback callback(s.c.done(), [&] {
            s.grandchild.reset(), s.first = with_cancel(s.c), s.parent->cancel();
        });
        at_once({[&] { s.parent->cancel(); }, [&] { s.child->cancel(); }});
        promise(s.p.err() && s.first->ctx.err());
    });
    explore("add 10 | add 5: no deadline is missed", [](Scene& s) {
        at_once({[&] { s.first = timeout(10); }, [&] { s.second = timeout(5); }});
        done_when_due(s.second), done_when_due(s.first);
    });
    explore("drop 5 | add 10 | there is a 50: no deadline is missed", [](Scene& s) {
        s.first = timeout(5), s.third = timeout(50);
        at_once({[&] { s.first.reset(); }, [&] { s.second = timeout(10); }});
        done_when_due(s.second), done_when_due(s.third);
    });
    explore("a deadline passes | drop | cancel the parent: it is done", [](Scene& s) {
        s.first = timeout(10, s.p);
        const Context ctx = s.first->ctx;
        const auto token = ctx.done();
        at_once({[&] { s.first.reset(), promise(!!ctx.err()); }, [&] { s.parent->cancel(); }});
        promise(token.stop_requested());
    });
    explore("a deadline passes | wait | sleep: both return, and all is done", [](Scene& s) {
        s.first = timeout(10), s.second = with_cancel(s.first->ctx);
        const Context &t = s.first->ctx, &c = s.second->ctx;
        at_once({[&] { promise(!!wait(t)); },
                 [&] { promise(!!sleep_for(c, duration(20))), done_alike(t, c); }});
        done_alike(t, c);
    });
    explore("after_func | cancel: the function runs once", [](Scene& s) {
        at_once({[&] { after_func(s.c, [&] { ++s.runs; }); }, [&] { s.parent.reset(); }});
        promise(s.runs == 1);
    });
    explore("stop | stop | cancel: the function runs, or one stop is true", [](Scene& s) {
        StopFunc a = after_func(s.c, [&] { ++s.runs; }), b = a;
        at_once({[&] { s.runs += a(), a = {}; }, [&] { s.runs += b(), b = {}; },
                 [&] { s.parent.reset(); }});
        promise(s.runs == 1);
    });
    explore("exit | a function waits for a deadline's callback: exit returns", [](Scene& s) {
        s.first = timeout(10);
        after_func(s.p,
                   [token = s.first->ctx.done()] { detail::wait_until(token, ::model::never); });
        s.parent->cancel();
        at_once({exit_process});
    });
}

}  // namespace context

int main(int, char** argv) {
    schedule.bound = std::atoi(argv[1]);
    std::signal(SIGSEGV, [](int) { schedule.fail("crash"); });
    context::explore_all();
}
