// Random operations on random trees of contexts, held against a model that is a tree of plain
// structs. On one thread everything is compared after every operation. On several threads what must
// hold at any moment is, and the model once all threads have stopped. A finding ends the program
// with 1, and with the seed that repeats it; on several threads the order of events is not
// repeated.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "context.hpp"
#include "tests/counted.hpp"

using namespace std::chrono_literals;
using context::Context;
using context::errc;
using std::chrono::steady_clock;

namespace {

// --- Progress and findings ---

std::uint32_t seed = 0;
std::atomic<std::uint64_t> operations = 0;
std::atomic<std::uint64_t> rounds = 0;

// Doing is what a thread is at, for the report of a finding and the dump of the watchdog.
struct Doing {
    std::atomic<const char*> what{"nothing"};
    std::atomic<std::uint64_t> step{0};
};
std::array<Doing, 64> doing;
thread_local Doing* mine = nullptr;  // null on the threads of context.hpp

void dump() {
    std::printf("seed %u, round %llu, about operation %llu\n", seed,
                static_cast<unsigned long long>(rounds.load()),
                static_cast<unsigned long long>(operations.load()));
    for (std::size_t t = 0; t < doing.size(); ++t) {
        if (doing[t].step == 0) continue;
        std::printf("thread %zu: %s, operation %llu of its round%s\n", t, doing[t].what.load(),
                    static_cast<unsigned long long>(doing[t].step.load()),
                    &doing[t] == mine ? " (this one)" : "");
    }
    std::fflush(stdout);
}

void check(bool ok, const char* what) {
    if (ok) return;
    static std::mutex only_one;
    const std::lock_guard lock(only_one);
    std::printf("finding: %s%s\n", what, mine ? "" : " (on a thread of context.hpp)");
    dump();
    std::_Exit(1);
}

// await waits for what another thread is about to do. If it never does, the watchdog barks.
template <class Condition>
void await(const Condition& condition) {
    while (!condition()) std::this_thread::yield();
}

// watch_over aborts the program when it has made no progress for two minutes.
void watch_over(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    for (std::uint64_t last = 0;; last = operations) {
        wake.wait_for(lock, stop, 120s, [] { return false; });
        if (stop.stop_requested()) return;
        if (operations != last) continue;
        std::puts("no progress for 120 s");
        dump();
        std::abort();
    }
}

// --- The model ---

// Member is what is known of one context.
struct Member {
    Member* parent = nullptr;  // null if nothing above can end it
    std::optional<context::time_point> deadline = {};
    std::size_t number = 0;                // the nearest value; 0 if there is none
    bool can_end = false;                  // itself or through its parent
    bool is_heard = false;                 // its done() is called
    bool near = false;                     // its own deadline comes within the round
    bool times_out = false;                // its own deadline gives no cause
    std::error_code cause = {};            // exactly, on one thread
    std::atomic<bool> ended{false};        // it was told to end, or was born too late
    std::atomic<bool> canceled{false};     // it was told to end without a cause
    std::atomic<int> seen{0};              // the cause that somebody has seen
    std::optional<Context> observed = {};  // for comparing, when all threads have stopped

    bool is_below(const Member& top) const {
        return this == &top || (parent && parent->is_below(top));
    }
    bool is_ended() const { return ended || near || (parent && parent->is_ended()); }
    bool is_near() const { return near || (parent && parent->is_near()); }
};

// Tally counts the calls of one callback on done(), or of one function of after_func.
struct Tally {
    Tally(const Member& m, bool may_be_elsewhere) : member(m), elsewhere(may_be_elsewhere) {}
    const Member& member;
    const bool elsewhere;  // it may run on a thread of context.hpp although there is one thread
    std::atomic<int> calls{0};
    std::atomic<int> when_removed{-1};  // the calls until then: none may follow
};

const context::Key<std::size_t> number{"number"};
const context::Key<Counted> counted{"counted"};

// A cause is the number of the ending that gave it: odd if that was a deadline.
struct Endings final : std::error_category {
    const char* name() const noexcept override { return "ending"; }
    std::string message(int n) const override { return std::to_string(n); }
};
const Endings endings;

std::error_code reason_of(std::error_code cause) {
    if (cause.category() != endings) return cause;
    return cause.value() % 2 ? errc::deadline_exceeded : errc::canceled;
}

// Shelf holds things that any thread may take. Nothing is destroyed under its locks.
template <class T, std::size_t size>
class Shelf {
public:
    T copy(std::size_t place) const {
        const std::lock_guard lock(places_[place % size].mutex);
        return places_[place % size].thing;
    }
    T exchange(std::size_t place, T thing) {
        const std::lock_guard lock(places_[place % size].mutex);
        return std::exchange(places_[place % size].thing, std::move(thing));
    }
    static constexpr std::size_t places = size;

private:
    struct Place {
        mutable std::mutex mutex;
        T thing{};
    };
    std::array<Place, size> places_;
};

class World;

// Ender holds the function that ends a context, and ends it at the latest with the last handle.
struct Ender {
    Ender(World& w, Member& m) : world(w), member(m) {}
    ~Ender();
    void operator()() const;

    const Counted outlives_the_rest = {};
    World& world;
    Member& member;
    context::CancelFunc cancel = {};
    bool has_cause = false;
};

struct Handle {
    Member* member = nullptr;
    Context ctx = {};
    std::shared_ptr<Ender> ender = {};
};

using OnDone = std::stop_callback<std::function<void()>>;

// Watch is a callback on done().
class Watch {
public:
    Watch(const Context& ctx, Tally& tally, const std::function<void()>& f) : tally_(tally) {
        on_done_.emplace(ctx.done(), [&tally, f] {
            f();
            ++tally.calls;
        });
    }
    ~Watch() {
        on_done_.reset();
        tally_.when_removed = tally_.calls.load();
    }

private:
    Tally& tally_;
    std::optional<OnDone> on_done_;
};

// OneShot is a callback that removes itself: whichever comes second, the callback or the thread
// that registers it, destroys it.
class OneShot {
public:
    static void register_on(const Context& ctx, Tally& tally) {
        auto* const shot = new OneShot;
        shot->on_done_.emplace(ctx.done(), [shot, &tally] {
            ++tally.calls;
            shot->arrive();
        });
        shot->arrive();
    }

private:
    void arrive() {
        if (arrived_.fetch_add(1) == 1) delete this;
    }
    std::atomic<int> arrived_{0};
    std::optional<OnDone> on_done_;
};

// World is one tree, with its model, from its root to the end of its last context.
class World {
public:
    World(bool one_thread, bool keeps_contexts, unsigned handles_in_use)
        : exact(one_thread), keeps(keeps_contexts), width(handles_in_use) {}

    Member& add_member(Member* parent) {
        const std::lock_guard lock(mutex_);
        Member& m = members_.emplace_back();
        m.parent = parent;
        return m;
    }
    Tally& add_tally(const Member& m, bool elsewhere) {
        const std::lock_guard lock(mutex_);
        return tallies_.emplace_back(m, elsewhere);
    }
    std::error_code add_ending(const Member& m, bool is_deadline) {
        const std::lock_guard lock(mutex_);
        aimed_at_.push_back(&m);
        return {static_cast<int>(2 * aimed_at_.size()) + is_deadline, endings};
    }

    // end writes into the model that `top` ends, before it does.
    void end(Member& top, std::error_code cause) {
        if (cause == errc::canceled) top.canceled = true;
        top.ended = true;
        if (!exact) return;
        for (Member& m : members_) {
            if (!m.cause && m.is_below(top)) m.cause = cause;
        }
    }

    void cancel(const Handle& h) const;
    void look(const Handle& h) const;
    void settle();
    void compare();
    void clear(std::mt19937& random);

    const bool exact;      // there is one thread
    const bool keeps;      // every context lives until the end
    const unsigned width;  // of `handles`: the fewer, the more often threads meet
    Shelf<Handle, 24> handles;
    Shelf<std::unique_ptr<Watch>, 8> quiet;  // callbacks that only look
    Shelf<std::unique_ptr<Watch>, 8> busy;   // callbacks that change something
    struct Deferral {
        context::StopFunc stop;
        Tally* tally = nullptr;
    };
    Shelf<Deferral, 8> deferrals;

private:
    bool is_known(const Member& m, std::error_code cause) const;

    std::mutex mutex_;
    std::deque<Member> members_;
    std::deque<Tally> tallies_;
    std::vector<const Member*> aimed_at_;
};

Ender::~Ender() { world.end(member, errc::canceled); }

void Ender::operator()() const {
    const std::error_code cause =
        has_cause ? world.add_ending(member, false) : make_error_code(errc::canceled);
    world.end(member, cause);
    has_cause ? cancel(cause) : cancel();
}

// When cancel returns, the context and all that is known below it have their reason.
void World::cancel(const Handle& h) const {
    if (!h.ender) return;
    (*h.ender)();
    check(bool(h.ctx.err()), "a cancelled context is live");
    for (std::size_t i = 0; i < handles.places; ++i) {
        const Handle other = handles.copy(i);
        if (other.member && other.member->is_below(*h.member))
            check(bool(other.ctx.err()), "a context below a cancelled one is live");
    }
}

// look checks what holds at any moment.
void World::look(const Handle& h) const {
    Member& m = *h.member;
    const Context& ctx = h.ctx;
    const int seen = m.seen;
    const bool stopped = m.is_heard && ctx.done().stop_requested();
    const std::error_code err = ctx.err();
    const std::error_code cause = context::cause(ctx);
    check(err || !stopped, "the token is stopped but err is empty");
    check(err || !seen, "err is empty again");
    check(ctx.deadline() == m.deadline, "the deadline differs");
    const std::size_t* const nearest = ctx.value(number);
    check((nearest ? *nearest : 0) == m.number, "the value differs");
    if (!err) return;
    check(err == reason_of(cause), "err does not go with the cause");
    check(err == ctx.err(), "err has changed");
    check(err != errc::deadline_exceeded || steady_clock::now() >= m.deadline,
          "a deadline is early");
    const int now_seen = cause.category() == endings ? cause.value() : -cause.value();
    int before = 0;
    check(m.seen.compare_exchange_strong(before, now_seen) || before == now_seen,
          "the cause has changed");
}

// is_known returns whether somebody has ended m with this cause, or its parent has it.
bool World::is_known(const Member& m, std::error_code cause) const {
    if (cause.category() == endings) {
        if (aimed_at_[static_cast<std::size_t>(cause.value() / 2 - 1)] == &m) return true;
    } else if (cause == errc::canceled ? m.canceled.load() : m.times_out) {
        return true;
    }
    if (!m.parent) return false;
    if (m.parent->observed) return context::cause(*m.parent->observed) == cause;
    return is_known(*m.parent, cause);
}

// settle waits for the deadlines that come within the round, and for the callbacks and functions
// that are to run, each of which may end further contexts.
void World::settle() {
    for (std::size_t i = 0; i < handles.places; ++i) {
        if (const Handle h = handles.copy(i); h.member) h.member->observed = h.ctx;
    }
    for (const Member& m : members_) {
        if (m.observed && m.is_near()) context::wait(*m.observed);
    }
    for (bool has_waited = true; std::exchange(has_waited, false);) {
        for (const Tally& tally : tallies_) {
            if (tally.calls > 0 || tally.when_removed >= 0 || !tally.member.is_ended()) continue;
            has_waited = true;
            await([&] { return tally.calls > 0; });
        }
    }
}

// compare holds all contexts that can be reached, and all callbacks, against the model, while no
// other thread changes them.
void World::compare() {
    const auto compare_context = [this](const Member& m, const Context& ctx) {
        const std::error_code cause = context::cause(ctx);
        if (exact) {
            check(cause == m.cause, "the cause is not the model's");
        } else {
            check(bool(cause) == m.is_ended(), "a context is live or done, and the model is not");
            check(!cause || is_known(m, cause), "nobody has given this cause");
        }
        // The timer thread stops the tokens later.
        check(m.is_near() || !m.is_heard || ctx.done().stop_requested() == bool(cause),
              "the token is not as err");
    };
    if (exact) {
        for (std::size_t i = 0; i < handles.places; ++i) {
            const Handle h = handles.copy(i);
            if (!h.member) continue;
            look(h);
            compare_context(*h.member, h.ctx);
        }
    } else {
        for (Member& m : members_) {
            if (!m.observed) continue;
            look({&m, *m.observed});
            compare_context(m, *m.observed);
        }
    }
    for (const Tally& tally : tallies_) {
        int expected = exact ? bool(tally.member.cause) : tally.member.is_ended();
        if (tally.when_removed >= 0) {
            expected = tally.when_removed;
        } else if (expected && tally.elsewhere) {
            await([&] { return tally.calls > 0; });
        }
        check(tally.calls == expected,
              "a callback ran too often, too early, too late or not at all");
    }
}

// clear drops everything, in any order, and waits until it is gone.
void World::clear(std::mt19937& random) {
    for (std::size_t i = 0; i < deferrals.places; ++i) {
        if (const Deferral d = deferrals.exchange(i, {}); d.stop()) d.tally->when_removed = 0;
    }
    std::array<std::size_t, decltype(handles)::places> order;
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t i : order) {
        quiet.exchange(i, {});
        handles.exchange(i, {});
        busy.exchange(i * 5, {});
    }
    for (const Tally& tally : tallies_) {
        if (tally.when_removed < 0 && tally.member.can_end) await([&] { return tally.calls > 0; });
        const int expected =
            tally.when_removed < 0 ? tally.member.can_end : tally.when_removed.load();
        check(tally.calls == expected, "a callback did not run once");
    }
    for (Member& m : members_) m.observed.reset();
    await([] { return Counted::alive() == 0; });
}

// --- The operations ---

// Worker is one thread's hand in a world.
class Worker {
public:
    Worker(World& world, std::mt19937& random, const Handle& root)
        : world_(world), random_(random), root_(root) {}

    void step() {
        const Handle h = pick();
        const unsigned kind = random(64);
        if (kind < 26) return begin("derive"), put(derive(h));
        if (kind < 32) return begin("cancel"), cancel(h);
        if (kind < 40) return begin("register a callback"), watch(h);
        if (kind < 43) return begin("remove a callback"), remove_callback();
        if (kind < 46) return begin("after_func"), defer(h);
        if (kind < 48) return begin("take a function back"), take_back();
        if (kind < 54) return begin("drop"), put({});
        if (kind < 58) return begin("copy and move"), copy_and_move(h);
        if (kind < 59) return begin("wait"), wait(h);
        begin("look");
        world_.look(h);
    }

private:
    unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }
    static void begin(const char* what) { mine->what = what; }

    Handle pick() {
        Handle h = world_.handles.copy(random(world_.width));
        return h.member ? h : root_;
    }
    void put(Handle h) { world_.handles.exchange(random(world_.width), std::move(h)); }

    void cancel(const Handle& h) {
        if (h.member != root_.member) world_.cancel(h);
    }

    // derive_plain derives a context without a deadline of its own.
    Handle derive_plain(const Handle& from) {
        Member& m = world_.add_member(from.member);
        m.deadline = from.member->deadline;
        m.number = from.member->number;
        m.can_end = from.member->can_end;
        m.cause = from.member->cause;
        m.is_heard = random(2) == 0;
        Handle h{&m};
        if (const unsigned kind = random(16); kind < 4) {
            m.number = 1 + random(1000);
            h.ctx =
                context::with_value(context::with_value(from.ctx, number, m.number), counted, {});
        } else if (kind < 5) {
            m.parent = nullptr;
            m.deadline = {};
            m.can_end = false;
            m.cause = {};
            h.ctx = context::without_cancel(from.ctx);
        } else if (kind < 10) {
            hold(h, context::with_cancel(from.ctx));
        } else {
            hold(h, context::with_cancel(from.ctx));
            h.ender->has_cause = true;
        }
        if (world_.keeps) m.observed = h.ctx;
        return h;
    }

    void hold(Handle& h, context::Cancellable made) {
        h.member->can_end = true;
        h.ctx = made.ctx;
        h.ender = std::make_shared<Ender>(world_, *h.member);
        if (random(4) == 0) {
            auto [other, cancel_other] = context::with_cancel(h.ctx);
            cancel_other = std::move(made.cancel);
            check(bool(other.err()), "an overwritten CancelFunc has not cancelled");
            made.cancel = std::move(cancel_other);
        }
        h.ender->cancel = std::move(made.cancel);
    }

    Handle derive(const Handle& from) {
        const unsigned kind = random(64);
        if (kind < 40) return derive_plain(from);
        Member& m = world_.add_member(from.member);
        m.number = from.member->number;
        m.cause = from.member->cause;
        m.is_heard = random(2) == 0;
        Handle h{&m};
        const auto now = steady_clock::now();
        if (kind < 45) {
            const auto timeout = 1h + random(1000) * 1s;
            hold(h, context::with_timeout(from.ctx, timeout));
            m.deadline = h.ctx.deadline();
            check(m.deadline == from.member->deadline ||
                      (now + timeout <= m.deadline && m.deadline <= steady_clock::now() + timeout),
                  "with_timeout has a wrong deadline");
        } else {
            m.near = kind == 63;
            const auto when = m.near      ? now + random(100) * 1us
                              : kind < 55 ? now + 1h + random(1000) * 1s
                              : kind < 56 ? context::time_point::max()
                                          : now - random(1000) * 1ms;
            std::error_code cause;
            m.times_out = random(2) == 0;
            if (!m.times_out) cause = world_.add_ending(m, true);
            m.deadline = from.member->deadline ? std::min(*from.member->deadline, when) : when;
            m.ended = when <= now;
            if ((m.near || m.ended) && !m.cause && world_.exact)
                m.cause = m.times_out ? make_error_code(errc::deadline_exceeded) : cause;
            hold(h, m.times_out ? context::with_deadline(from.ctx, when)
                                : context::with_deadline(from.ctx, when, cause));
        }
        if (world_.keeps) m.observed = h.ctx;
        if (m.near && world_.exact) live_through(h);
        return h;
    }

    // live_through waits for a deadline, which the model has reached already.
    void live_through(const Handle& h) {
        const Handle child = derive_plain(h);
        watch_quietly(child, true);
        watch_quietly(h, true);
        check(context::wait(h.ctx) == reason_of(h.member->cause), "wait has another reason");
        put(child);
    }

    void watch_quietly(const Handle& h, bool elsewhere) {
        Tally& tally = world_.add_tally(*h.member, elsewhere);
        world_.quiet.exchange(random_(), std::make_unique<Watch>(h.ctx, tally, [ctx = h.ctx] {
                                  check(ctx.err() && ctx.done().stop_requested(),
                                        "a callback finds its context live");
                              }));
    }

    void watch(const Handle& h) {
        const unsigned kind = random(8);
        if (kind < 3) return watch_quietly(h, false);
        Tally& tally = world_.add_tally(*h.member, false);
        if (kind < 4 && h.member->can_end) return OneShot::register_on(h.ctx, tally);
        world_.busy.exchange(random_(), std::make_unique<Watch>(h.ctx, tally, action(h)));
    }

    // action returns what a callback is to do. One callback removes another only if that is quiet:
    // the removal waits for it, so two that remove each other would wait for ever.
    std::function<void()> action(const Handle& h) {
        switch (random(4)) {
            case 0:
                return [this_world = &world_, other = pick(), root = root_.member] {
                    if (other.member != root) this_world->cancel(other);
                };
            case 1:
                return [ctx = h.ctx] {
                    const auto [child, cancel] = context::with_timeout(ctx, 1h);
                    check(ctx.err() && child.err() == ctx.err(), "a child is born live");
                };
            case 2:
                return [own = h]() mutable { own = {}; };
            default:
                return [this_world = &world_, place = random_()] {
                    this_world->quiet.exchange(place, nullptr);
                };
        }
    }

    void remove_callback() {
        random(2) == 0 ? world_.quiet.exchange(random_(), nullptr)
                       : world_.busy.exchange(random_(), nullptr);
    }

    void defer(const Handle& h) {
        Tally& tally = world_.add_tally(*h.member, true);
        std::function<void()> f = world_.exact ? [] {} : action(h);
        const auto stop = context::after_func(h.ctx, [f = std::move(f), &tally]() mutable {
            f();
            f = nullptr;
            ++tally.calls;
        });
        take_back(world_.deferrals.exchange(random_(), {stop, &tally}));
    }

    void take_back() { take_back(world_.deferrals.exchange(random_(), {})); }
    void take_back(const World::Deferral& d) {
        if (!d.stop()) return;
        d.tally->when_removed = 0;
        check(!d.stop(), "a function is taken back twice");
    }

    void copy_and_move(const Handle& h) {
        Context copy = h.ctx;
        Context moved = std::move(copy);
        check(!copy.deadline() && !copy.value(number), "a moved-from context is not background");
        copy = moved;
        moved = context::background();
        world_.look({h.member, std::move(copy)});
    }

    void wait(const Handle& h) {
        if (h.ctx.err() || h.member->is_near()) {
            const std::error_code err = context::wait(h.ctx);
            check(err && err == h.ctx.err(), "wait returns something else than err");
        } else if (const std::error_code err = context::sleep_for(h.ctx, 2us)) {
            check(err == h.ctx.err(), "sleep_for returns something else than err");
        }
    }

    World& world_;
    std::mt19937& random_;
    const Handle& root_;
};

// --- Rounds ---

// run_round lets threads take up to `most` steps each in a world of their own.
void run_round(std::mt19937& random, unsigned threads, unsigned most) {
    ++rounds;
    const auto steps = 1 + random() % most;
    const auto width = static_cast<unsigned>(1 + random() % 24);
    World world(threads == 1, random() % 2 == 0, width);
    Handle root{&world.add_member(nullptr)};
    {
        auto made = context::with_cancel(context::background());
        root.member->can_end = true;
        root.ctx = made.ctx;
        root.ender = std::make_shared<Ender>(world, *root.member);
        root.ender->cancel = std::move(made.cancel);
    }
    std::latch start(threads);
    const auto work = [&](unsigned thread, std::mt19937 own_random) {
        mine = &doing[thread];
        Worker worker(world, own_random, root);
        start.arrive_and_wait();
        for (std::uint64_t i = 1; i <= steps; ++i) {
            mine->step = i;
            ++operations;
            worker.step();
            if (world.exact) world.compare();
        }
    };
    if (threads == 1) {
        work(0, std::mt19937(random()));
    } else {
        std::vector<std::jthread> crew;
        for (unsigned t = 0; t < threads; ++t) crew.emplace_back(work, t, std::mt19937(random()));
    }
    mine = &doing[0];
    mine->what = "compare";
    if (threads > 1) world.settle();
    check(!root.ctx.err(), "the root, which nobody has cancelled, is done");
    world.compare();
    mine->what = "clear";
    if (random() % 2) world.cancel(root);
    root = {};
    world.clear(random);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Random operations on contexts, held against a model", "context_stress");
    std::uint64_t ops = 1'000'000;
    unsigned threads = 4;
    seed = std::random_device{}();
    app.add_option("--ops", ops, "operations; if there are several threads, half of them on one");
    app.add_option("--threads", threads, "threads")->check(CLI::Range(1, 64));
    app.add_option("--seed", seed, "repeats a run; random by default");
    CLI11_PARSE(app, argc, argv);

    std::printf("seed %u\n", seed);
    std::fflush(stdout);
    const std::jthread watchdog(watch_over);
    std::mt19937 random(seed);
    while (operations < (threads == 1 ? ops : ops / 2)) run_round(random, 1, 300);
    while (operations < ops) run_round(random, threads, 200);
    std::printf("%llu operations, seed %u, 0 findings\n",
                static_cast<unsigned long long>(operations.load()), seed);
    return 0;
}
