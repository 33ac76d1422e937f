// Every interleaving of small scenarios, on the real context.hpp: see tests/model/schedule.hpp.
// `scenarios [BOUND [LIMIT]]`: at most BOUND preemptions (2), and LIMIT runs of each scenario.

#include "tests/model/std.hpp"
#define thread_local  // each deadline is added as if by another thread
#include "context.hpp"
#undef thread_local

using model::schedule;

// While a scenario runs, memory is from its arena, and each static object is made anew.
void* operator new(std::size_t size) {
    if (!schedule.is_running) return std::malloc(size);
    return schedule.arena.allocate(size, schedule.current->initializing > 0);
}
void* operator new(std::size_t size, std::align_val_t) { return operator new(size); }
void operator delete(void* p) noexcept {
    const auto& bytes = schedule.arena.bytes;
    if (p < bytes.begin() || p >= bytes.end()) return std::free(p);
    if (!schedule.arena.free(p)) schedule.fail("memory is freed twice");
}
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { operator delete(p); }

// What a compiler calls around the making of a static object. A guard's first byte says that it is
// made, the second that it is being made.
extern "C" int __cxa_guard_acquire(long long* guard) {
    char* const state = reinterpret_cast<char*>(guard);
    while (state[1]) schedule.wait(guard);
    if (state[0]) return 0;
    if (schedule.is_running) ++schedule.current->initializing;
    return state[1] = 1;
}
extern "C" void __cxa_guard_release(long long* guard) {
    *guard = 1;
    if (!schedule.is_running) return;
    --schedule.current->initializing;
    schedule.static_guards.push_back(guard);
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

void at_once(::std::initializer_list<::model::Work> threads) { schedule.at_once(threads); }
void promise(bool holds) {
    if (!holds) schedule.fail("the promise does not hold");
}
bool same_end(const Context& a, const Context& b) {
    return a.err() && a.err() == b.err() && cause(a) == cause(b);
}
Cancellable timeout(int d, const Context& parent = {}) {
    return with_timeout(parent, ::std::chrono::nanoseconds(d));
}
void ends_when_due(const Box& box) {
    schedule.pass_time_to(*box->ctx.deadline());
    promise(box->ctx.err() == errc::deadline_exceeded);
}
void exit_process() {
    for (; !schedule.at_exit.empty(); schedule.at_exit.pop_back()) schedule.at_exit.back()();
    schedule.arena.live = 0;  // functions of after_func that have not begun stay in memory
}

void explore_all(const ::std::function<void(const char*, void (*)(Scene&))>& explore) {
    explore("cancel | drop the child | derive from it: all that is below is done", [](Scene& s) {
        const auto token = s.c.done();
        at_once({[&] { s.parent->cancel(), promise(s.p.err() && s.g.err()); },
                 [&] { s.child.reset(); },
                 [&] { s.first = with_cancel(s.c), (void)s.first->ctx.done(); }});
        promise(s.first->ctx.done().stop_requested() && token.stop_requested());
    });
    explore(
        "cancel | cancel | cancel the child: each returns when all below is done", [](Scene& s) {
            const auto token = s.g.done();
            const auto cancel = [&] {
                s.parent->cancel(why), promise(s.p.err() && same_end(s.c, s.g));
            };
            at_once(
                {cancel, cancel, [&] { s.child->cancel(other_why), promise(same_end(s.c, s.g)); }});
            promise(cause(s.p) == why && token.stop_requested());
        });
    explore("cancel | cancel the child | derive below: no descendant stays live", [](Scene& s) {
        at_once({[&] { s.parent->cancel(why), promise(s.p.err() && same_end(s.c, s.g)); },
                 [&] { s.child->cancel(other_why), promise(same_end(s.c, s.g)); },
                 [&] { s.first = with_cancel(s.g); }});
        promise(same_end(s.c, s.first->ctx));
    });
    explore("cancel | cancel far below: each returns when all below is done", [](Scene& s) {
        const auto d = with_cancel(s.g), e = with_cancel(d.ctx);
        at_once({[&] { s.parent->cancel(why), promise(s.p.err() && s.g.err() && e.ctx.err()); },
                 [&] { d.cancel(other_why), promise(same_end(d.ctx, e.ctx)); }});
    });
    explore("cancel | drop two children: the third is done, and nothing leaks", [](Scene& s) {
        s.first = with_cancel(s.p), s.second = with_cancel(s.p), (void)s.first->ctx.done();
        at_once({[&] { s.first.reset(); }, [&] { s.second.reset(); }, [&] { s.parent->cancel(); }});
        promise(s.p.err() && s.c.err());
    });
    explore("drop the parent | the child | the grandchild: nothing leaks", [](Scene& s) {
        s.first = with_cancel(background()), s.second = with_cancel(s.first->ctx);
        s.third = with_cancel(s.second->ctx), (void)s.second->ctx.done();
        at_once({[&] { s.first.reset(); }, [&] { s.second.reset(); }, [&] { s.third.reset(); }});
    });
    explore("done | done | cancel: there is one token, and it is stopped", [](Scene& s) {
        std::stop_token a, b;
        at_once({[&] { a = s.c.done(); }, [&] { b = s.c.done(); }, [&] { s.parent->cancel(); }});
        promise(a == b && a == s.c.done() && a.stop_requested());
    });
    explore("cancel(why) | cause | derive: what is done has its cause", [](Scene& s) {
        const auto check = [](const Context& c) { promise(!c.err() || cause(c) == why); };
        at_once({[&] { s.parent->cancel(why); }, [&] { check(s.c); },
                 [&] { s.first = with_cancel(s.c), check(s.first->ctx); }});
        promise(cause(s.first->ctx) == why);
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
        ends_when_due(s.second), ends_when_due(s.first);
    });
    explore("add 10 | add 5, there is a 50: no deadline is missed", [](Scene& s) {
        s.third = timeout(50);
        at_once({[&] { s.first = timeout(10); }, [&] { s.second = timeout(5); }});
        ends_when_due(s.second), ends_when_due(s.first), ends_when_due(s.third);
    });
    explore("add 10 | add and drop 5 | add 7: no deadline is missed", [](Scene& s) {
        at_once({[&] { s.first = timeout(10); }, [&] { (void)timeout(5); },
                 [&] { s.second = timeout(7); }});
        ends_when_due(s.second), ends_when_due(s.first);
    });
    explore("a deadline passes | drop | cancel the parent: it is done", [](Scene& s) {
        s.first = timeout(10, s.p);
        const Context ctx = s.first->ctx;
        const auto token = ctx.done();
        at_once({[&] { s.first.reset(), promise(!!ctx.err()); }, [&] { s.parent->cancel(); }});
        promise(token.stop_requested());
    });
    explore("a deadline passes | drop | derive: the child is done", [](Scene& s) {
        s.first = timeout(10);
        const Context ctx = s.first->ctx;
        at_once({[&] { s.second = timeout(5, ctx); }, [&] { s.first.reset(); }});
        promise(!!s.second->ctx.err());
    });
    explore("a deadline passes | wait | sleep | cancel: all below is done", [](Scene& s) {
        s.first = timeout(10), s.second = with_cancel(s.first->ctx);
        const Context &t = s.first->ctx, &c = s.second->ctx;
        at_once({[&] { promise(wait(t) && same_end(t, c)); },
                 [&] { promise(sleep_for(c, duration(20)) && same_end(t, c)); },
                 [&] { s.first->cancel(); }});
    });
    explore("after_func | cancel: the function runs once", [](Scene& s) {
        at_once({[&] { after_func(s.c, [&] { ++s.runs; }); }, [&] { s.parent.reset(); }});
        promise(s.runs == 1);
    });
    explore("cancel | stop | stop: the function runs, or one stop is true", [](Scene& s) {
        StopFunc a = after_func(s.c, [&] { ++s.runs; }), b = a;
        at_once({[&] { s.runs += a(), a = {}; }, [&] { s.runs += b(), b = {}; },
                 [&] { s.parent.reset(); }});
        promise(s.runs == 1);
    });
    explore("exit | a function of after_func waits for a deadline: exit returns", [](Scene& s) {
        s.first = timeout(10);
        after_func(s.p, [ctx = s.first->ctx] { (void)wait(ctx); });
        at_once({exit_process, [&] { s.parent->cancel(); }});
    });
}

}  // namespace context

int main(int argc, char** argv) {
    const int bound = argc > 1 ? std::atoi(argv[1]) : 2;
    const long limit = argc > 2 ? std::atol(argv[2]) : 1'000'000'000;
    std::signal(SIGSEGV, [](int) { schedule.fail("crash"); });
    context::explore_all([&](const char* promise, void (*scenario)(context::Scene&)) {
        const auto run = [&] {
            context::Scene scene;
            scenario(scene);
        };
        schedule.explore(promise, run, bound, limit);
    });
}
