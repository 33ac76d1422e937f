// context.hpp: Go's context package for C++20, in one header that needs nothing else.
//
// A Context carries a cancellation signal, a deadline and values from a caller to everything that
// works on the caller's behalf, across functions and threads. Contexts form a tree: each is derived
// from a parent, and what ends a context ends all that was derived from it, and nothing else.
//
//     background()
//     `-- with_timeout(2s)            one request
//         |-- with_cancel()           first call      cancelled: this one ...
//         |   `-- with_value(key)                     ... and what is below it,
//         `-- with_cancel()           second call     but neither its sibling nor its parent
//
// In a program:
//
//     auto [ctx, cancel] = context::with_timeout(parent, 2s);
//     std::jthread worker([&] {
//         while (!context::sleep_for(ctx, 100ms)) do_some_work();
//     });
//     if (nobody_needs_it()) cancel();
//
// Rules for callers, the same as in Go: a function that can wait takes `const Context& ctx` as its
// first parameter and passes it on; a context is not stored in an object that outlives the call; a
// value is for what belongs to a request, not for optional parameters.
//
// Threads: all functions here, and all const members, may be called from any thread at any time. A
// single Context or CancelFunc object is like a std::shared_ptr: to assign to it, move from it or
// destroy it while another thread uses that same object is a data race; copies are independent.
//
// Callbacks: a std::stop_callback on done() runs on the thread that cancels (for a deadline, on the
// one timer thread, where a slow callback delays every other deadline), or in its own constructor
// when the context is done already. It must not throw. No lock of this header is held: it may
// cancel, derive, read or drop any context, its own included. First err() is set on all contexts
// that end, then their tokens are stopped one after the other, parents first: so a callback must
// not wait for somebody who waits for a context below its own, and on the timer thread for none
// that a deadline is to end.
//
// Errors: what allocates may throw std::bad_alloc, and then has changed nothing: deriving a
// context, and the first done(), wait() or sleep_for() on one. Cancelling allocates nothing and
// cannot fail.
//
// Limits: cancel() is not async-signal-safe, so no signal handler may call it. The child of a
// fork() has no timer thread, and if the parent had other threads it may only exec or _exit. On
// exit() the timer thread is joined, before the statics that were there before the first deadline
// are destroyed: no callback runs on it after that, and whoever still waits for a deadline waits
// for ever.
#ifndef CONTEXT_HPP
#define CONTEXT_HPP

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace context {

namespace detail {
struct Node;
struct Access;

// Ref is a counted reference to a node of the tree, or to none. Its users come first in this file,
// all other internals last.
class Ref {
public:
    Ref() noexcept = default;
    explicit Ref(Node* adopted) noexcept : node_(adopted) {}
    Ref(const Ref& other) noexcept;
    Ref(Ref&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~Ref();
    Node* get() const noexcept { return node_; }
    Node* operator->() const noexcept { return node_; }
    explicit operator bool() const noexcept { return node_ != nullptr; }

private:
    Node* node_ = nullptr;
};
}  // namespace detail

// Deadlines are points on the steady clock: setting the wall clock does not move them.
using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::steady_clock::duration;

// errc are the two reasons for which a context ends. As std::error_code they say "context canceled"
// and "context deadline exceeded", and compare equal to std::errc::operation_canceled and
// std::errc::timed_out.
enum class errc { canceled = 1, deadline_exceeded };
std::error_code make_error_code(errc e) noexcept;

// Key names a value of type T in a context. Its address is its identity: keys are neither copied
// nor moved, never clash, and outlive the contexts that they are used with. Make them constants:
//
//     inline const context::Key<std::string> tracking_id{"tracking id"};
template <class T>
class Key {
public:
    // Key(name) keeps the pointer to `name`, which is for people only: a string literal.
    explicit constexpr Key(const char* name) noexcept : name_(name) {}
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    constexpr const char* name() const noexcept { return name_; }

private:
    const char* name_;
};

// Context is one node of the tree, held by a handle: copying it costs one atomic increment. A
// handle keeps its node and all ancestors alive, not its descendants. A default-constructed or
// moved-from Context is background().
class Context {
public:
    Context() noexcept = default;

    // done returns the token that is stopped when this context ends: poll it, wait on it with
    // std::condition_variable_any, or register a std::stop_callback. Whoever sees it stopped also
    // sees err() set. The reference is valid as long as any handle of this context lives; on a
    // temporary, done returns the token itself. background().done().stop_possible() is false.
    const std::stop_token& done() const&;
    std::stop_token done() const&&;

    // err returns an empty code while this context is live, afterwards its errc; that never changes
    // again. A context that its parent ended has the parent's reason.
    std::error_code err() const noexcept;

    // deadline returns when this context will end at the latest, if there is such a time. It is
    // never later than that of an ancestor.
    std::optional<time_point> deadline() const noexcept;

    // value returns the value of the nearest ancestor, this context included, that was made with
    // `key`; null if there is none. The pointer is valid as long as any handle of this context
    // lives. The time it takes grows with the distance.
    template <class T>
    const T* value(const Key<T>& key) const noexcept;

private:
    friend struct detail::Access;
    detail::Ref node_;
};

// CancelFunc ends the context it came with, when it is called or destroyed, whichever is first:
// Go's `defer cancel()`, impossible to forget. Keep it as long as the work should go on. One that
// is declared before the std::jthread it serves is destroyed after the join, too late to end it.
//
// A call may come from any thread; calls after the first do nothing. When any call returns, err()
// is set on the context and on every descendant. When the first one returns, the tokens of all that
// it ended are stopped and their callbacks have run, on this thread. A later call does not wait for
// callbacks, nor does a call wait for those of a descendant that another thread is cancelling at
// the same moment. No call waits for the work itself to stop: join the worker for that.
//
// A default-constructed or moved-from CancelFunc does nothing. Assigning to one cancels what it
// held.
class CancelFunc {
public:
    CancelFunc() noexcept = default;
    CancelFunc(CancelFunc&&) noexcept = default;
    CancelFunc& operator=(CancelFunc&& other) noexcept;
    ~CancelFunc() { (*this)(); }

    void operator()() const noexcept;

private:
    friend struct detail::Access;
    detail::Ref node_;
};

// Cancellable is a derived context with the function that ends it. Take both:
//
//     auto [ctx, cancel] = context::with_cancel(parent);
//
// `auto ctx = with_cancel(parent).ctx;` drops the CancelFunc, which cancels ctx at once.
struct [[nodiscard]] Cancellable {
    Context ctx;
    CancelFunc cancel;
};

// background returns the root of all contexts: never done, no deadline, no values. It is where
// main, a test or a server's start begin.
[[nodiscard]] inline Context background() noexcept { return {}; }

// todo returns a background() for code that does not know yet which context it should be given.
[[nodiscard]] inline Context todo() noexcept { return {}; }

// with_cancel derives a context that ends when its CancelFunc is called or when `parent` ends,
// whichever is first. A parent that is done already gives a child that is born done.
Cancellable with_cancel(const Context& parent);

// with_deadline is with_cancel, and the context also ends at `deadline`, with
// errc::deadline_exceeded: never early, and late by the load of the machine and of the timer
// thread. A deadline that has passed ends it at birth, time_point::max() never does, and a parent's
// earlier one stays in force. The first deadline of a program starts the timer thread, which serves
// them all; if that cannot be started, std::system_error is thrown.
Cancellable with_deadline(const Context& parent, time_point deadline);

// with_timeout is with_deadline at `timeout` from now. A timeout too long for the clock becomes
// time_point::max(), one of zero or less has passed.
template <class Rep, class Period>
Cancellable with_timeout(const Context& parent, std::chrono::duration<Rep, Period> timeout);

// with_value derives a context in which ctx.value(key) is `value`; in all else it is as its parent.
// There is nothing to cancel, so there is no CancelFunc. The value must be safe to read from any
// thread, and to destroy on any: it goes with the last handle, or after a cancel that is under way.
template <class T>
[[nodiscard]] Context with_value(const Context& parent, const Key<T>& key,
                                 std::type_identity_t<T> value);
template <class T>
Context with_value(const Context&, const Key<T>&&, std::type_identity_t<T>) = delete;

// wait blocks until ctx is done and returns its err(): Go's `<-ctx.Done()`. On background() it
// blocks for ever.
std::error_code wait(const Context& ctx);

// sleep_for blocks for `d` or until ctx is done, and returns an empty code if it slept to the end,
// otherwise ctx.err(): Go's `select` on time.After and ctx.Done(). A context that is done already
// wins over any `d`. If the deadline of ctx lies within the sleep, the answer is always an error.
template <class Rep, class Period>
[[nodiscard]] std::error_code sleep_for(const Context& ctx, std::chrono::duration<Rep, Period> d);

}  // namespace context

template <>
struct std::is_error_code_enum<context::errc> : std::true_type {};

// ---------------------------------------------------------------------------------------------
// Internals. Nothing below is for callers.
//
// The tree. Every derivation makes one Node, which holds its parent alive. The nodes that can be
// cancelled (Canceler) are also linked downwards, each into a list of the nearest Canceler above
// it, so that a cancellation finds them; value nodes are only passed through. One mutex in the
// topmost Canceler guards the links of its whole tree. Nothing is called while it is held.
//
// Lifetimes. A Canceler is linked only while it is live, and its CancelFunc, which holds a
// reference, ends it and its timer before letting go. So whoever finds a node in a list or among
// the timers, under the lock that guards them, may take a reference; and no destructor has anything
// to unlink.
//
// The token. A std::stop_source allocates, so it is made by the first done(). Most contexts are
// only polled with err() or never looked at.
// ---------------------------------------------------------------------------------------------
namespace context::detail {

// immortal returns an object that is made at its first use, without allocating, and never
// destroyed: the destructors of static contexts may still use it.
template <class T>
T& immortal() noexcept {
    alignas(T) static unsigned char storage[sizeof(T)];
    static T* const object = ::new (storage) T;
    return *object;
}

struct Canceler;

struct Node {
    Node(Ref parent_ref, Canceler* nearest, const void* value_key) noexcept
        : parent(std::move(parent_ref)), canceler(nearest), key(value_key) {}
    virtual ~Node() = default;

    std::atomic<std::size_t> refs{1};
    Ref parent;                // empty below background()
    Canceler* const canceler;  // the nearest Canceler, this node included; null if there is none
    const void* const key;     // of a value node, the address of its Key
};

inline Ref::Ref(const Ref& other) noexcept : node_(other.node_) {
    if (node_) node_->refs.fetch_add(1, std::memory_order_relaxed);
}

// The last reference takes the node's reference to its parent over and drops that next: a loop,
// because a recursion would overflow the stack on a long chain.
inline Ref::~Ref() {
    while (node_ && node_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        Node* const last = node_;
        node_ = std::exchange(last->parent.node_, nullptr);
        delete last;
    }
}

template <class T>
struct ValueNode final : Node {
    ValueNode(Ref parent_ref, Canceler* nearest, const Key<T>& value_key, T&& v)
        : Node(std::move(parent_ref), nearest, &value_key), value(std::move(v)) {}

    const T value;
};

// Tree is what all Cancelers of a tree share; it lies in the topmost one.
struct Tree {
    std::mutex mutex;
    std::atomic<bool> ending{false};  // while a cancel gives out reasons
};

struct Canceler : Node {
    Canceler(Ref parent_ref, Tree& own_tree, std::optional<time_point> ends_at) noexcept
        : Node(std::move(parent_ref), this, nullptr), tree(own_tree), deadline(ends_at) {}

    bool is_done() const noexcept { return reason.load(std::memory_order_acquire) != 0; }
    const std::stop_token& done();
    void link_to(Canceler& above) noexcept;
    void unlink_from(Canceler& above) noexcept;
    void cancel(errc why) noexcept;
    virtual void stop_timer() noexcept {}

    Tree& tree;  // whoever changes a member below holds its mutex
    const std::optional<time_point> deadline;
    std::atomic<int> reason{0};          // an errc; 0 while live
    std::atomic<bool> has_token{false};  // publishes source and token, which never change again
    std::stop_source source{std::nostopstate};
    std::stop_token token;

    // The children, and the place among the siblings: the first one's `prev` is the last one, and
    // the last one's `next` is null. Without meaning in a node that is done.
    Canceler* children = nullptr;
    Canceler* prev = nullptr;
    Canceler* next = nullptr;
};

template <class C>
struct Topmost final : C {
    Topmost(Ref parent_ref, std::optional<time_point> ends_at) noexcept
        : C(std::move(parent_ref), topped_tree, ends_at) {}

    Tree topped_tree;
};

inline const std::stop_token& Canceler::done() {
    if (has_token.load(std::memory_order_acquire)) return token;
    std::stop_source fresh;  // allocates, so before the lock
    const std::lock_guard lock(tree.mutex);
    if (!has_token.load(std::memory_order_relaxed)) {
        if (is_done()) fresh.request_stop();  // nobody has registered a callback yet
        source = std::move(fresh);
        token = source.get_token();
        has_token.store(true, std::memory_order_release);
    }
    return token;
}

inline void Canceler::link_to(Canceler& above) noexcept {
    if (!above.is_done()) {
        const std::lock_guard lock(tree.mutex);
        if (!above.is_done()) {
            next = above.children;
            prev = next ? std::exchange(next->prev, this) : this;
            above.children = this;
            return;
        }
    }
    reason.store(above.reason, std::memory_order_release);
}

inline void Canceler::unlink_from(Canceler& above) noexcept {
    Canceler* const last = above.children->prev;
    (above.children == this ? above.children : prev->next) = next;
    if (next) next->prev = prev;
    if (last == this && above.children) above.children->prev = prev;
}

// cancel ends this node and all below it. First, under the lock, the subtree is flattened into one
// list, parents before children, and each node gets its reason. Then, without the lock, the tokens
// that somebody has asked for are stopped; until that is done this thread holds on to their nodes.
//
// On a node that is done already there is only to wait until those below it have their reasons too.
// They have if no cancel is giving any out at the moment: one that gave this node its reason had
// set `ending` before, so it has cleared that again. Otherwise the lock waits.
inline void Canceler::cancel(errc why) noexcept {
    if (is_done() && !tree.ending.load(std::memory_order_acquire)) return;
    Canceler* to_stop = nullptr;  // linked by `prev`
    {
        const std::lock_guard lock(tree.mutex);
        if (is_done()) return;
        tree.ending.store(true, std::memory_order_relaxed);
        if (Canceler* const above = parent ? parent->canceler : nullptr) unlink_from(*above);
        next = nullptr;
        Canceler* last = this;
        Canceler** end_of_to_stop = &to_stop;
        for (Canceler* node = this; node; node = node->next) {
            node->reason.store(static_cast<int>(why), std::memory_order_release);
            if (Canceler* const first = std::exchange(node->children, nullptr)) {
                last->next = first;
                last = first->prev;
            }
            if (node->has_token.load(std::memory_order_relaxed)) {
                node->refs.fetch_add(1, std::memory_order_relaxed);
                node->prev = nullptr;
                *end_of_to_stop = node;
                end_of_to_stop = &node->prev;
            }
        }
        tree.ending.store(false, std::memory_order_release);
    }
    while (to_stop) {
        const Ref node{to_stop};
        to_stop->source.request_stop();
        to_stop = to_stop->prev;
    }
}

struct TimerShard;

// Timed is a Canceler with a deadline of its own.
struct Timed : Canceler {
    using Canceler::Canceler;
    void stop_timer() noexcept override;

    // The place in the heap of `shard`, guarded by its mutex: `back` is the previous sibling, for
    // the first child the parent.
    TimerShard* shard = nullptr;
    Timed* child = nullptr;
    Timed* sibling = nullptr;
    Timed* back = nullptr;
};

// DeadlineHeap is a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) whose links lie in its
// elements: push allocates nothing and takes constant time, erase amortized logarithmic time, and
// both touch next to nothing where, as usual, a later deadline is pushed and erased again.
class DeadlineHeap {
public:
    Timed* earliest() const noexcept { return root_; }
    bool contains(const Timed& t) const noexcept { return &t == root_ || t.back; }

    void push(Timed& t) noexcept { root_ = merge(root_, &t); }

    void erase(Timed& t) noexcept {
        Timed* const orphans = merge_all(std::exchange(t.child, nullptr));
        if (&t == root_) {
            root_ = orphans;
            return;
        }
        (t.back->child == &t ? t.back->child : t.back->sibling) = t.sibling;
        if (t.sibling) t.sibling->back = t.back;
        t.sibling = t.back = nullptr;
        root_ = merge(root_, orphans);
    }

private:
    // merge makes the later of two roots the first child of the other one.
    static Timed* merge(Timed* a, Timed* b) noexcept {
        if (!a || !b) return a ? a : b;
        if (*b->deadline < *a->deadline) std::swap(a, b);
        b->back = a;
        b->sibling = a->child;
        if (b->sibling) b->sibling->back = b;
        a->child = b;
        return a;
    }

    // merge_all makes one heap of a list of siblings: in pairs, then the pairs one after the other.
    static Timed* merge_all(Timed* first) noexcept {
        Timed* pairs = nullptr;
        while (first) {
            Timed* const a = take(first);
            Timed* const b = first ? take(first) : nullptr;
            Timed* const pair = merge(a, b);
            pair->sibling = std::exchange(pairs, pair);
        }
        Timed* root = nullptr;
        while (pairs) root = merge(root, take(pairs));
        return root;
    }

    static Timed* take(Timed*& first) noexcept {
        Timed* const t = std::exchange(first, first->sibling);
        t->sibling = t->back = nullptr;
        return t;
    }

    Timed* root_ = nullptr;
};

// TimerShard is a part of the timers with a lock of its own, so that threads that make and drop
// deadlines do not meet on one.
struct alignas(64) TimerShard {
    std::mutex mutex;
    DeadlineHeap heap;
    std::atomic<time_point> earliest{time_point::max()};  // of the heap; written under the mutex

    void push(Timed& t) noexcept {
        heap.push(t);
        if (heap.earliest() == &t) earliest = *t.deadline;
    }

    void erase(Timed& t) noexcept {
        const bool was_first = heap.earliest() == &t;
        heap.erase(t);
        if (!was_first) return;
        earliest = heap.earliest() ? *heap.earliest()->deadline : time_point::max();
    }
};

// Timers serves all deadlines of the process with one thread, which sleeps until the earliest. It
// is never destroyed; at exit the thread is joined, and no callback runs on it after that.
class Timers {
public:
    // running returns the timers, with their thread started.
    static Timers& running();
    void add(Timed& t) noexcept;

private:
    Timers() : thread_([this] { run(); }) {}

    void run() noexcept;
    void stop() noexcept;
    Ref take_expired(TimerShard& shard, time_point now) noexcept;
    time_point earliest() const noexcept;

    static long this_process() noexcept {
#if __has_include(<unistd.h>)
        return ::getpid();
#else
        return 0;
#endif
    }

    std::array<TimerShard, 16> shards_;
    std::atomic<bool> stopping_{false};
    std::atomic<time_point> wakes_at_{time_point::max()};
    std::mutex mutex_;  // held by the thread from announcing wakes_at_ until it sleeps
    std::condition_variable wake_;
    const long process_ = this_process();
    std::thread thread_;  // last: it uses all the others
};

inline Timers& Timers::running() {
    static Timers& timers = *new Timers;
    static const bool stops_at_exit = std::atexit([] { timers.stop(); }) == 0;
    if (!stops_at_exit) throw std::bad_alloc();
    return timers;
}

// add and run each write one of `earliest` and `wakes_at_` and then read the other, all in the one
// order of seq_cst: so either add sees when the thread means to wake, or the thread sees the new
// deadline before it sleeps. A deadline that is not the first of its shard needs no wake-up: the
// first one has been seen to.
inline void Timers::add(Timed& t) noexcept {
    static std::atomic<unsigned> threads{0};
    thread_local const unsigned mine = threads.fetch_add(1, std::memory_order_relaxed);
    TimerShard& shard = shards_[mine % shards_.size()];
    {
        const std::lock_guard lock(shard.mutex);
        t.shard = &shard;
        shard.push(t);
    }
    if (*t.deadline < wakes_at_.load()) {
        const std::lock_guard lock(mutex_);
        wake_.notify_one();
    }
}

inline void Timed::stop_timer() noexcept {
    if (!shard) return;
    const std::lock_guard lock(shard->mutex);
    if (shard->heap.contains(*this)) shard->erase(*this);
}

// Each round takes what has expired when it begins, so that callbacks which keep making deadlines
// cannot keep the thread from the other shards.
inline void Timers::run() noexcept {
    while (!stopping_) {
        const time_point now = std::chrono::steady_clock::now();
        for (TimerShard& shard : shards_) {
            while (const Ref expired = take_expired(shard, now)) {
                expired->canceler->cancel(errc::deadline_exceeded);
            }
        }
        std::unique_lock lock(mutex_);
        const time_point next = earliest();
        wakes_at_ = next;
        if (stopping_ || earliest() < next) continue;
        if (next == time_point::max()) {
            wake_.wait(lock);
        } else {
            wake_.wait_until(lock, next);
        }
    }
}

// stop leaves the thread alone where there is none, in the child of a fork(), and where the thread
// itself has called exit(), from a callback.
inline void Timers::stop() noexcept {
    if (process_ != this_process() || thread_.get_id() == std::this_thread::get_id()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_one();
    }
    thread_.join();
}

inline Ref Timers::take_expired(TimerShard& shard, time_point now) noexcept {
    if (stopping_ || now < shard.earliest.load()) return Ref{};
    const std::lock_guard lock(shard.mutex);
    Timed* const first = shard.heap.earliest();
    if (!first || now < *first->deadline) return Ref{};
    shard.erase(*first);
    first->refs.fetch_add(1, std::memory_order_relaxed);
    return Ref{first};
}

inline time_point Timers::earliest() const noexcept {
    time_point earliest = time_point::max();
    for (const TimerShard& shard : shards_) earliest = std::min(earliest, shard.earliest.load());
    return earliest;
}

// Access lets the functions of this header into the handles.
struct Access {
    static const Ref& ref(const Context& ctx) noexcept { return ctx.node_; }
    static Canceler* canceler(const Context& ctx) noexcept {
        return ctx.node_ ? ctx.node_->canceler : nullptr;
    }
    static Context adopt(Node* node) noexcept {
        Context ctx;
        ctx.node_ = Ref{node};
        return ctx;
    }

    // derive makes a child of `parent` of type C, linked or born done.
    template <class C>
    static Cancellable derive(const Context& parent, std::optional<time_point> deadline) {
        Canceler* const above = canceler(parent);
        Canceler* const node = above ? new C(ref(parent), above->tree, deadline)
                                     : new Topmost<C>(ref(parent), deadline);
        if (above) node->link_to(*above);
        Cancellable derived{adopt(node), {}};
        derived.cancel.node_ = derived.ctx.node_;
        return derived;
    }
};

// later adds without overflow, and rounds up.
template <class Rep, class Period>
time_point later(time_point now, std::chrono::duration<Rep, Period> d) noexcept {
    const std::chrono::duration<long double, duration::period> ticks = d;
    if (!(ticks < time_point::max() - now)) return time_point::max();
    return ticks.count() > 0 ? now + std::chrono::ceil<duration>(ticks) : now;
}

inline Cancellable derive_until(const Context& parent, time_point deadline, time_point now) {
    const std::optional<time_point> inherited = parent.deadline();
    const bool own = !inherited || deadline < *inherited;
    if (own && now < deadline && deadline != time_point::max() && !parent.err()) {
        Timers& timers = Timers::running();
        Cancellable derived = Access::derive<Timed>(parent, deadline);
        timers.add(static_cast<Timed&>(*Access::canceler(derived.ctx)));
        return derived;
    }
    Cancellable derived = Access::derive<Canceler>(parent, own ? deadline : inherited);
    if (deadline <= now) Access::canceler(derived.ctx)->cancel(errc::deadline_exceeded);
    return derived;
}

// wait_until blocks until `token` is stopped, which it reports, or until `end`.
inline bool wait_until(const std::stop_token& token, time_point end) {
    std::mutex mutex;
    std::condition_variable wake;
    bool stopped = false;
    const std::stop_callback on_stop(token, [&] {
        const std::lock_guard lock(mutex);
        stopped = true;
        wake.notify_one();
    });
    std::unique_lock lock(mutex);
    if (end == time_point::max()) {
        wake.wait(lock, [&] { return stopped; });
    } else {
        wake.wait_until(lock, end, [&] { return stopped; });
    }
    return stopped;
}

struct ErrorCategory final : std::error_category {
    const char* name() const noexcept override { return "context"; }
    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::canceled:
                return "context canceled";
            case errc::deadline_exceeded:
                return "context deadline exceeded";
        }
        return "unknown context error";
    }
    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::canceled:
                return std::errc::operation_canceled;
            case errc::deadline_exceeded:
                return std::errc::timed_out;
        }
        return std::error_condition(code, *this);
    }
};

}  // namespace context::detail

namespace context {

inline std::error_code make_error_code(errc e) noexcept {
    return {static_cast<int>(e), detail::immortal<detail::ErrorCategory>()};
}

inline const std::stop_token& Context::done() const& {
    detail::Canceler* const canceler = detail::Access::canceler(*this);
    return canceler ? canceler->done() : detail::immortal<std::stop_token>();
}

inline std::stop_token Context::done() const&& { return done(); }

inline std::error_code Context::err() const noexcept {
    const detail::Canceler* const canceler = detail::Access::canceler(*this);
    const int why = canceler ? canceler->reason.load(std::memory_order_acquire) : 0;
    return why ? make_error_code(static_cast<errc>(why)) : std::error_code{};
}

inline std::optional<time_point> Context::deadline() const noexcept {
    const detail::Canceler* const canceler = detail::Access::canceler(*this);
    return canceler ? canceler->deadline : std::nullopt;
}

template <class T>
const T* Context::value(const Key<T>& key) const noexcept {
    for (const detail::Node* node = node_.get(); node; node = node->parent.get()) {
        if (node->key == &key) return &static_cast<const detail::ValueNode<T>*>(node)->value;
    }
    return nullptr;
}

inline CancelFunc& CancelFunc::operator=(CancelFunc&& other) noexcept {
    const CancelFunc held = std::move(*this);
    node_ = std::move(other.node_);
    return *this;
}

inline void CancelFunc::operator()() const noexcept {
    if (!node_) return;
    detail::Canceler& canceler = *node_->canceler;
    canceler.stop_timer();
    canceler.cancel(errc::canceled);
}

inline Cancellable with_cancel(const Context& parent) {
    return detail::Access::derive<detail::Canceler>(parent, parent.deadline());
}

inline Cancellable with_deadline(const Context& parent, time_point deadline) {
    return detail::derive_until(parent, deadline, std::chrono::steady_clock::now());
}

template <class Rep, class Period>
Cancellable with_timeout(const Context& parent, std::chrono::duration<Rep, Period> timeout) {
    const time_point now = std::chrono::steady_clock::now();
    return detail::derive_until(parent, detail::later(now, timeout), now);
}

template <class T>
Context with_value(const Context& parent, const Key<T>& key, std::type_identity_t<T> value) {
    return detail::Access::adopt(new detail::ValueNode<T>(
        detail::Access::ref(parent), detail::Access::canceler(parent), key, std::move(value)));
}

inline std::error_code wait(const Context& ctx) {
    detail::wait_until(ctx.done(), time_point::max());
    return ctx.err();
}

template <class Rep, class Period>
std::error_code sleep_for(const Context& ctx, std::chrono::duration<Rep, Period> d) {
    if (const std::error_code err = ctx.err()) return err;
    const time_point end = detail::later(std::chrono::steady_clock::now(), d);
    if (const auto deadline = ctx.deadline(); deadline && *deadline <= end) return wait(ctx);
    return detail::wait_until(ctx.done(), end) ? ctx.err() : std::error_code{};
}

}  // namespace context

#endif  // CONTEXT_HPP
