// Every interleaving of small scenarios, on the real context.hpp: see tests/model/model.hpp.
// `scenarios BOUND`: with at most so many preemptions.
#include "tests/model/model.hpp"
#define thread_local  // each deadline is added as if by another thread
#include "context.hpp"
#undef thread_local

using namespace model;
using namespace std::chrono_literals;

namespace context {
using Box = std::optional<Cancellable>;
const std::error_code why{1, std::generic_category()}, other_why{2, std::generic_category()};

void promise(const auto& holds) {
    if (!holds) fail("the promise does not hold");
}
void done_alike(const Context& a, const Context& b) {
    promise(a.err() && a.err() == b.err() && cause(a) == cause(b));
}
void done_when_due(const Box& box) {
    at_once({}, *box->ctx.deadline());
    promise(box->ctx.err() == errc::deadline_exceeded);
}

struct Scene {
    Box parent = with_cancel(background()), child = with_cancel(parent->ctx);
    Box grandchild = with_cancel(child->ctx);
    const Context p = parent->ctx, c = child->ctx, g = grandchild->ctx;
    const Work cancel = [this] { parent->cancel(why), promise(p.err()), done_alike(c, g); };
    const Work cancel_child = [this] { child->cancel(other_why), done_alike(c, g); };
    Box one, two, three;
    int calls = 0;
};

void explore_all() {
    explore("cancel | cancel | cancel the child: each returns when all is done", [](Scene s) {
        const auto token = s.g.done();
        at_once({s.cancel, s.cancel, s.cancel_child});
        promise(cause(s.p) == why && token.stop_requested());
    });
    explore("cancel | cancel the child | derive: no descendant stays live", [](Scene s) {
        at_once({s.cancel, s.cancel_child, [&] { s.one = with_cancel(s.g); }});
        done_alike(s.c, s.one->ctx);
    });
    explore("cancel | drop a child | drop another: the third is done", [](Scene s) {
        s.one = with_cancel(s.p), s.two = with_cancel(s.p), (void)s.one->ctx.done();
        at_once({[&] { s.one.reset(); }, [&] { s.two.reset(); }, s.cancel});
        done_alike(s.p, s.c);
    });
    explore("drop the parent | the child | the grandchild: nothing leaks", [](Scene s) {
        s.one = with_cancel(background()), s.two = with_cancel(s.one->ctx);
        s.three = with_cancel(s.two->ctx), (void)s.two->ctx.done();
        at_once({[&] { s.one.reset(); }, [&] { s.two.reset(); }, [&] { s.three.reset(); }});
    });
    explore("done | done | cancel: there is one token, with its cause", [](Scene s) {
        std::stop_token a, b;
        at_once({[&] { a = s.c.done(), promise(!s.c.err() || cause(s.c) == why); },
                 [&] { b = s.c.done(); }, s.cancel});
        promise(a == b && a == s.c.done() && a.stop_requested());
    });
    explore("cancel | cancel the child, whose callback uses the tree: it may", [](Scene s) {
        const std::stop_callback callback(s.c.done(), [&] {
            s.grandchild.reset(), s.one = with_cancel(s.c), s.parent->cancel();
        });
        at_once({[&] { s.parent->cancel(); }, [&] { s.child->cancel(); }});
        promise(s.p.err() && s.one->ctx.err());
    });
    explore("add 10 | add 5: no deadline is missed", [](Scene s) {
        at_once({[&] { s.one = with_timeout({}, 10ns); }, [&] { s.two = with_timeout({}, 5ns); }});
        done_when_due(s.two), done_when_due(s.one);
    });
    explore("drop 5 | add 10 | there is a 50: no deadline is missed", [](Scene s) {
        s.one = with_timeout({}, 5ns), s.three = with_timeout({}, 50ns);
        at_once({[&] { s.one.reset(); }, [&] { s.two = with_timeout({}, 10ns); }});
        done_when_due(s.two), done_when_due(s.three);
    });
    explore("a deadline passes | drop | cancel the parent: it is done", [](Scene s) {
        s.one = with_timeout(s.p, 10ns);
        const Context ctx = s.one->ctx;
        const auto token = ctx.done();
        at_once({[&] { s.one.reset(), promise(ctx.err()); }, [&] { s.parent->cancel(); }});
        promise(token.stop_requested());
    });
    explore("a deadline passes | wait | sleep: both return, and all is done", [](Scene s) {
        s.one = with_timeout({}, 10ns), s.two = with_cancel(s.one->ctx);
        const Context &t = s.one->ctx, &c = s.two->ctx;
        at_once({[&] { promise(wait(t)); }, [&] { promise(sleep_for(c, 1us)), done_alike(t, c); }});
        done_alike(t, c);
    });
    explore("after_func | cancel: the function runs once", [](Scene s) {
        at_once({[&] { after_func(s.c, [&] { ++s.calls; }); }, [&] { s.parent.reset(); }});
        promise(s.calls == 1);
    });
    explore("stop | stop | cancel: the function runs, or one stop is true", [](Scene s) {
        StopFunc a = after_func(s.c, [&] { ++s.calls; }), b = a;
        at_once({[&] { s.calls += a(), a = {}; }, [&] { s.calls += b(), b = {}; },
                 [&] { s.parent.reset(); }});
        promise(s.calls == 1);
    });
    explore("exit | a function waits for a deadline's callback: exit returns", [](Scene s) {
        s.one = with_timeout({}, 10ns);
        after_func(s.p, [token = s.one->ctx.done()] { detail::wait_until(token, never); });
        s.parent->cancel();
        at_once({[] { std::for_each(at_exit.rbegin(), at_exit.rend(), [](auto f) { f(); }); }});
        blocks = 0;  // functions of after_func that have not begun stay in memory
    });
}
}  // namespace context

int main(int, char** argv) {
    bound = std::atoi(argv[1]);
    std::signal(SIGSEGV, [](int) { fail("crash"); });
    context::explore_all();
}
