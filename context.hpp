// context.hpp: Go's context package for C++20, in one header that needs nothing else.
//
// A Context carries a cancellation signal, a deadline and values from a caller to everything that
// works on the caller's behalf, across functions and threads. Contexts form a tree: each is derived
// from a parent. What ends a context ends all below it (not below without_cancel), nothing else.
//
//     background()
//     `-- with_timeout(2s)            one request     goes on
//         |-- with_cancel()           first call      is cancelled
//         |   `-- with_value(key)                     is cancelled with it
//         `-- with_cancel()           second call     goes on
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
// destroy it while another thread uses that object is a data race; Context copies are independent.
//
// Callbacks: a std::stop_callback on done() runs on the thread that cancels; for a deadline, on the
// one timer thread, where a slow callback delays all other deadlines; if the context is done
// already, in its own constructor. It must not throw. No lock of this header is held, so it may
// cancel, derive, read or drop any context, its own included. Before the first token is stopped,
// err() is set on every context that ends; tokens are then stopped one by one, parents first. So a
// callback must not wait for a thread that waits for a descendant, nor, on the timer thread, for
// anything that a deadline ends. The destructor of a std::stop_callback waits for its callback if
// that runs on another thread: whoever destroys one must hold no lock that the callback takes.
//
// Errors: deriving a context, and its first done(), wait() or sleep_for(), may throw
// std::bad_alloc; nothing has changed then. Cancelling allocates nothing and cannot fail.
//
// Limits: cancel() is not async-signal-safe: no signal handler may call it. The child of a fork()
// has no timer thread, and may only exec or _exit if the parent had other threads. exit() waits for
// a callback that runs on the timer thread and joins it, before statics that are older than the
// first deadline are destroyed; from then on whoever waits for a deadline waits for ever.
#ifndef CONTEXT_HPP
#define CONTEXT_HPP

#include <chrono>
#include <optional>
#include <ostream>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>

namespace context {

namespace detail {
struct Node;
struct Access;

// Ref is a counted reference to a node, or null. All other internals come last.
class Ref {
public:
    explicit Ref(Node* adopted = nullptr) noexcept : node_(adopted) {}
    Ref(const Ref& other) noexcept;
    Ref(Ref&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    Ref& operator=(Ref other) noexcept;
    ~Ref();
    Node* get() const noexcept { return node_; }
    Node* operator->() const noexcept { return node_; }
    explicit operator bool() const noexcept { return node_ != nullptr; }

private:
    Node* node_;
};
}  // namespace detail

// Deadlines are points on the steady clock: setting the wall clock does not move them.
using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::steady_clock::duration;

// errc are the two reasons for which a context ends: "context canceled", which compares equal to
// std::errc::operation_canceled, and "context deadline exceeded", equal to std::errc::timed_out.
enum class errc { canceled = 1, deadline_exceeded };
std::error_code make_error_code(errc e) noexcept;

// Key names a value of type T in a context. Its address is its identity, so keys cannot clash; they
// are neither copied nor moved, and must outlive the contexts they are used with. Make them
// constants: inline const context::Key<std::string> tracking_id{"tracking id"};
template <class T>
struct Key {
    explicit constexpr Key(const char* literal) noexcept : name(literal) {}
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    const char* const name;  // for people only
};

// Context is a handle to one node of the tree; copying it costs one atomic increment. It keeps the
// node and its ancestors alive, not its descendants. A default-constructed or moved-from Context is
// background(). See examples/four_questions.cpp.
class Context {
public:
    // done returns the token that is stopped when this context ends: poll it, wait on it with
    // std::condition_variable_any, or register a std::stop_callback. Whoever sees it stopped also
    // sees err() set. The reference is valid as long as any handle of this context lives; on a
    // temporary, done returns the token itself. background().done().stop_possible() is false.
    const std::stop_token& done() const&;
    std::stop_token done() const&&;

    // err returns an empty code while this context is live, afterwards its errc; that never changes
    // again. A context that its parent ended has the parent's reason.
    std::error_code err() const noexcept;

    // deadline returns when this context will end at the latest, if a deadline was given (be it
    // time_point::max()). It is never later than the parent's, unless without_cancel lies between.
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
// Go's `defer cancel()`, impossible to forget. But a std::jthread that is declared later is joined
// first: call it by hand where the work should end sooner.
//
// cancel(why) makes `why` the cause of all that it ends. A cause is a std::error_code because
// callers compare causes and print them, and because handing it to a whole tree allocates nothing.
// For a text of your own, define a std::error_category. See examples/cause.cpp.
//
// It may be called from any thread, any number of times. When a call returns, err() is set on the
// context and on all that ends with it. The call that ends the context also stops the tokens of all
// that it ends, and runs their callbacks on this thread, before it returns. A call that finds the
// context ended already, by an earlier call, its parent or its deadline, does not wait for
// callbacks: they may be running elsewhere or not have begun. No call waits for the work to stop:
// join it for that, or see examples/monitor.cpp. A default-constructed or moved-from CancelFunc
// does nothing; assigning to one cancels what it held. See examples/cancel_twice.cpp.
class CancelFunc {
public:
    CancelFunc() noexcept = default;
    CancelFunc(CancelFunc&&) noexcept = default;
    CancelFunc& operator=(CancelFunc&& other) noexcept;
    ~CancelFunc() { (*this)(); }
    void operator()(std::error_code why = {}) const noexcept;

private:
    friend struct detail::Access;
    detail::Ref node_;
};

// StopFunc withdraws a function from after_func. It returns true if the function will now never
// run, false if it has begun, has ended or was withdrawn before; it does not wait for it to end.
// Dropping a StopFunc changes nothing.
class StopFunc {
public:
    bool operator()() const noexcept;

private:
    friend struct detail::Access;
    detail::Ref node_;
};

// Cancellable is a derived context with the function that ends it. Take both, as above: after
// `auto ctx = with_cancel(parent).ctx;` the CancelFunc is gone, so ctx is cancelled at once.
struct [[nodiscard]] Cancellable {
    Context ctx;
    CancelFunc cancel;
};

// background returns the root of all contexts: never done, without a deadline, without values.
[[nodiscard]] inline Context background() noexcept { return {}; }

// todo returns a background() for code that does not know yet which context it should be given.
[[nodiscard]] Context todo() noexcept;

// with_cancel derives a context that ends when its CancelFunc is called or when `parent` ends,
// whichever is first. A parent that is done already is returned as it is, with a CancelFunc that
// has nothing to do. See examples/tree.cpp and examples/first.cpp.
Cancellable with_cancel(const Context& parent);

// with_deadline is with_cancel, and the context also ends at `deadline`, with
// errc::deadline_exceeded and with `why` as its cause. It does not end early; how late depends on
// the machine's load and on the callbacks of other deadlines. A deadline that
// has passed ends it at birth, time_point::max() never does, and an earlier deadline of the parent
// stays in force. The first deadline of a program starts the timer thread, which serves them all,
// or throws std::system_error.
Cancellable with_deadline(const Context& parent, time_point deadline, std::error_code why = {});

// with_timeout is with_deadline at `timeout` from now. A timeout too long for the clock becomes
// time_point::max(), one of zero or less has expired. See examples/lazy_server.cpp.
template <class Rep, class Period>
Cancellable with_timeout(const Context& parent, std::chrono::duration<Rep, Period> timeout,
                         std::error_code why = {});

// with_value derives a context in which ctx.value(key) is `value`; in all else it is as its parent.
// The value must be safe to read from any thread. It is destroyed with the last handle or, if a
// cancel is under way, on the thread that cancels. See examples/service_caller.cpp.
template <class T>
[[nodiscard]] Context with_value(const Context& parent, const Key<T>& key,
                                 std::type_identity_t<T> value);
template <class T>
Context with_value(const Context&, const Key<T>&&, std::type_identity_t<T>) = delete;

// without_cancel derives a context with the values of `parent` that never ends and has no deadline,
// for work that must go on when the request that began it is over.
[[nodiscard]] Context without_cancel(const Context& parent);

// cause returns the cause that was given when ctx, or the ancestor that ended it, was cancelled;
// where none was given, err(). It is empty while ctx is live.
std::error_code cause(const Context& ctx) noexcept;

// wait blocks until ctx is done, on background() for ever, and returns err(): Go's `<-ctx.Done()`.
std::error_code wait(const Context& ctx);

// sleep_for blocks for `d` or until ctx is done, and returns an empty code if it slept to the end,
// otherwise ctx.err(): Go's `select` on time.After and ctx.Done(); see examples/worker.cpp. If ctx
// is done already, or its deadline lies within the sleep, the answer is always an error.
template <class Rep, class Period>
[[nodiscard]] std::error_code sleep_for(const Context& ctx, std::chrono::duration<Rep, Period> d);

// after_func runs f once, when ctx is done, on a helper thread that all such functions share: f
// holds up other such functions, but neither the canceller nor a deadline. It must not throw, and
// does not run if it has not begun when the process exits. All it needs is acquired now: the first
// call starts the thread, or throws std::system_error. See examples/server_shutdown.cpp.
template <class F>
StopFunc after_func(const Context& ctx, F f);

// Prints how ctx was derived: "background.with_cancel.with_value(tracking id)". Never a value.
std::ostream& operator<<(std::ostream& out, const Context& ctx);

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
#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>
#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace context::detail {

// no_destructor returns an object that is made at its first use, without allocating, and never
// destroyed: the destructors of static contexts may still use it.
template <class T>
T& no_destructor() noexcept {
    alignas(T) static unsigned char storage[sizeof(T)];
    static T* const object = ::new (storage) T;
    return *object;
}

struct Canceler;

struct Node {
    Node(Ref parent_ref, Canceler* nearest, const void* value_key) noexcept
        : parent(std::move(parent_ref)), canceler(nearest), key(value_key) {}
    virtual ~Node() = default;
    virtual void print(std::ostream& out) const = 0;

    Ref parent;                // empty below background()
    Canceler* const canceler;  // the nearest Canceler, this node included; null if there is none
    const void* const key;     // of a value node, the address of its Key
    std::atomic<std::uint32_t> refs{1};
};

inline Ref::Ref(const Ref& other) noexcept : node_(other.node_) {
    if (node_) node_->refs.fetch_add(1, std::memory_order_relaxed);
}

inline Ref& Ref::operator=(Ref other) noexcept {
    std::swap(node_, other.node_);
    return *this;
}

// release drops a reference and returns whether it was the last one. If it finds itself the only
// one, nobody else is there to count, which saves the dearer operation.
inline bool release(Node& node) noexcept {
    return node.refs.load(std::memory_order_acquire) == 1 ||
           node.refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

// The last reference takes the node's reference to its parent over and drops that next: a loop,
// because a recursion would overflow the stack on a long chain.
inline Ref::~Ref() {
    while (node_ && release(*node_)) {
        Node* const last = node_;
        node_ = std::exchange(last->parent.node_, nullptr);
        delete last;
    }
}

template <class T>
struct ValueNode final : Node {
    ValueNode(Ref parent_ref, Canceler* nearest, const Key<T>& value_key, T&& v)
        : Node(std::move(parent_ref), nearest, &value_key), value(std::move(v)) {}
    void print(std::ostream& out) const override {
        out << ".with_value(" << static_cast<const Key<T>*>(key)->name << ')';
    }

    const T value;
};

struct DetachedNode final : Node {
    explicit DetachedNode(Ref parent_ref) noexcept
        : Node(std::move(parent_ref), nullptr, nullptr) {}
    void print(std::ostream& out) const override { out << ".without_cancel"; }
};

struct TodoNode final : Node {
    TodoNode() noexcept : Node(Ref{}, nullptr, nullptr) {}
    void print(std::ostream& out) const override { out << "todo"; }
};

// Tree is what all Cancelers of a tree share; it lies in the topmost one.
struct Tree {
    std::mutex mutex;
    std::atomic<bool> ending{false};  // while a cancel gives out reasons
};

// lock tries for a while before it sleeps: most that is done under the lock of a tree is done
// sooner than a thread is put to sleep and woken.
inline std::unique_lock<std::mutex> lock(Tree& tree) {
    std::unique_lock guard(tree.mutex, std::try_to_lock);
    for (int tries = 0; !guard.owns_lock() && tries < 100; ++tries) guard.try_lock();
    if (!guard.owns_lock()) guard.lock();
    return guard;
}

struct Canceler : Node {
    Canceler(Ref parent_ref, Tree& own_tree, std::optional<time_point> ends_at) noexcept
        : Node(std::move(parent_ref), this, nullptr), tree(own_tree), deadline(ends_at) {}

    bool is_done() const noexcept { return reason.load(std::memory_order_acquire) != 0; }
    bool is_over() const noexcept;
    const std::stop_token& done();
    Canceler* above() const noexcept { return parent ? parent->canceler : nullptr; }
    bool link() noexcept;
    void unlink_from(Canceler& from) noexcept;
    void cancel(errc why, std::error_code because = {}) noexcept;
    virtual void stop_timer() noexcept {}
    virtual void tell() noexcept { source.request_stop(); }
    void print(std::ostream& out) const override { out << ".with_cancel"; }

    std::atomic<bool> is_heard{false};    // somebody is to be told of the end; publishes the token
    std::atomic<std::uint8_t> reason{0};  // an errc; 0 while live; publishes `cause`
    Tree& tree;                           // whoever changes another member holds its mutex
    const std::optional<time_point> deadline;
    std::error_code cause;  // empty if none was given
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
    if (is_heard.load(std::memory_order_acquire)) return token;
    std::stop_source fresh;  // allocates, so before the lock
    const auto guard = lock(tree);
    if (!is_heard.load(std::memory_order_relaxed)) {
        if (is_done()) fresh.request_stop();  // nobody has registered a callback yet
        source = std::move(fresh);
        token = source.get_token();
        is_heard.store(true, std::memory_order_release);
    }
    return token;
}

// link makes this node a child of the one above, if that is live, otherwise done for the same
// reason. It returns whether the node is live: linked, or topmost.
inline bool Canceler::link() noexcept {
    Canceler* const to = above();
    if (!to) return true;
    if (!to->is_done()) {
        const auto guard = lock(tree);
        if (!to->is_done()) {
            next = to->children;
            prev = next ? std::exchange(next->prev, this) : this;
            to->children = this;
            return true;
        }
    }
    cause = to->cause;
    reason.store(to->reason, std::memory_order_release);
    return false;
}

inline void Canceler::unlink_from(Canceler& from) noexcept {
    Canceler* const last = from.children->prev;
    Canceler*& link = from.children == this ? from.children : prev->next;
    link = next;
    if (next) next->prev = prev;
    if (last == this && from.children) from.children->prev = prev;
}

// is_over returns whether this node and all below it have their reasons. They have if this one is
// done and no cancel is giving any out at the moment: one that gave this node its reason had set
// `ending` before, so it has cleared that again.
inline bool Canceler::is_over() const noexcept {
    return is_done() && !tree.ending.load(std::memory_order_acquire);
}

// cancel ends this node and all below it. First, under the lock, the subtree is flattened into one
// list, parents before children, and each node gets its reason. Then, without the lock, those who
// listen are told; until that is done this thread holds on to their nodes.
//
// On a node that is done already there is only to wait, for the lock, until it is over.
inline void Canceler::cancel(errc why, std::error_code because) noexcept {
    if (is_over()) return;
    Canceler* to_tell = nullptr;  // linked by `prev`
    {
        const auto guard = lock(tree);
        if (is_done()) return;
        tree.ending.store(true, std::memory_order_relaxed);
        if (Canceler* const from = above()) unlink_from(*from);
        next = nullptr;
        Canceler* last = this;
        Canceler** tail = &to_tell;
        for (Canceler* node = this; node; node = node->next) {
            node->cause = because;
            node->reason.store(static_cast<std::uint8_t>(why), std::memory_order_release);
            if (Canceler* const first = std::exchange(node->children, nullptr)) {
                last->next = first;
                last = first->prev;
            }
            if (node->is_heard.load(std::memory_order_relaxed)) {
                node->refs.fetch_add(1, std::memory_order_relaxed);
                node->prev = nullptr;
                *tail = node;
                tail = &node->prev;
            }
        }
        tree.ending.store(false, std::memory_order_release);
    }
    while (to_tell) {
        const Ref node{to_tell};
        to_tell->tell();
        to_tell = to_tell->prev;
    }
}

struct TimerShard;

// Timed is a Canceler with a deadline of its own.
struct Timed : Canceler {
    using Canceler::Canceler;
    void stop_timer() noexcept override;
    void print(std::ostream& out) const override { out << ".with_deadline"; }

    std::error_code deadline_cause;

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
        Timed*& link = t.back->child == &t ? t.back->child : t.back->sibling;
        link = t.sibling;
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

// Service is a thread that works for the whole process. It starts at the first use and is joined at
// exit; the object is never destroyed.
class Service {
public:
    void stop() noexcept;

protected:
    template <class Work>
    void start(Work work) {
        thread_ = std::thread(std::move(work));
    }

    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::condition_variable wake_;

private:
    static long this_process() noexcept {
#if __has_include(<unistd.h>)
        return ::getpid();
#else
        return 0;
#endif
    }

    const long process_ = this_process();
    std::thread thread_;
};

// stop leaves the thread alone where there is none, in the child of a fork(), and where the thread
// itself has called exit(), from a callback.
inline void Service::stop() noexcept {
    if (process_ != this_process() || thread_.get_id() == std::this_thread::get_id()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_one();
    }
    thread_.join();
}

// running returns the one object of a class of services, with its thread started. What fails is
// tried again by the next call.
template <class S>
S& running() {
    static S& service = *new S;
    [[maybe_unused]] static const bool stops_at_exit = [] {
        if (std::atexit([] { service.stop(); }) != 0) throw std::bad_alloc();
        return true;
    }();
    return service;
}

// Timers serves all deadlines. Its thread sleeps until the earliest.
class Timers : public Service {
public:
    Timers() {
        start([this] { run(); });
    }
    void add(Timed& t) noexcept;

private:
    void run() noexcept;
    Ref take_expired(TimerShard& shard, time_point now) noexcept;
    time_point earliest() const noexcept;

    std::array<TimerShard, 16> shards_;
    std::atomic<time_point> wakes_at_{time_point::max()};  // announced under the mutex
};

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
                Timed& timed = static_cast<Timed&>(*expired->canceler);
                timed.cancel(errc::deadline_exceeded, timed.deadline_cause);
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

// Deferred is a function of after_func: a Canceler below the context that it waits for, which hands
// itself to the helper thread when it is told of the end. While it is linked or handed over it
// holds a reference to itself. Whoever changes `state` from `waiting` is the one to use the
// function.
struct Deferred : Canceler {
    enum State { waiting, begun, taken_back };

    Deferred(Ref parent_ref, Tree& own_tree, std::optional<time_point> ends_at) noexcept
        : Canceler(std::move(parent_ref), own_tree, ends_at) {
        is_heard = true;
    }

    void tell() noexcept override;
    virtual void drop() noexcept = 0;
    virtual void run() noexcept = 0;
    bool claim(State next_state) noexcept {
        State expected = waiting;
        return state.compare_exchange_strong(expected, next_state);
    }

    std::atomic<State> state{waiting};
};

template <class F>
struct DeferredCall : Deferred {
    using Deferred::Deferred;
    void drop() noexcept override { function.reset(); }
    void run() noexcept override {
        (*function)();
        drop();
    }

    std::optional<F> function;
};

// Helper runs the functions of after_func on one thread, in the order of their contexts' ends.
class Helper : public Service {
public:
    Helper() {
        start([this] { run(); });
    }

    void push(Deferred& deferred) noexcept {
        const std::lock_guard lock(mutex_);
        deferred.next = nullptr;
        *end_ = &deferred;
        end_ = &deferred.next;
        wake_.notify_one();
    }

private:
    void run() noexcept {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stopping_ || first_; });
            if (stopping_) return;
            const Ref deferred{first_};
            first_ = first_->next;
            if (!first_) end_ = &first_;
            lock.unlock();
            auto& call = static_cast<Deferred&>(*deferred.get());
            if (call.claim(Deferred::begun)) call.run();
            lock.lock();
        }
    }

    Canceler* first_ = nullptr;  // linked by `next`
    Canceler** end_ = &first_;
};

inline void Deferred::tell() noexcept {
    if (state == taken_back) {
        const Ref last{this};
    } else {
        running<Helper>().push(*this);
    }
}

// Access lets the functions of this header into the handles.
struct Access {
    static const Ref& ref(const Context& ctx) noexcept { return ctx.node_; }
    static Canceler* canceler(const Context& ctx) noexcept {
        return ctx.node_ ? ctx.node_->canceler : nullptr;
    }
    static bool is_over(const Context& ctx) noexcept {
        const Canceler* const above = canceler(ctx);
        return above && above->is_over();
    }
    static Context adopt(Node* node) noexcept {
        Context ctx;
        ctx.node_ = Ref{node};
        return ctx;
    }

    // make makes a node of type C below `parent`, which is still to be linked.
    template <class C>
    static C* make(const Context& parent, std::optional<time_point> deadline) {
        Canceler* const above = canceler(parent);
        return above ? new C(ref(parent), above->tree, deadline)
                     : new Topmost<C>(ref(parent), deadline);
    }
    template <class C>
    static Cancellable derive(const Context& parent, std::optional<time_point> deadline) {
        C* const node = make<C>(parent, deadline);
        node->refs.store(2, std::memory_order_relaxed);  // ctx and cancel
        node->link();
        Cancellable derived;
        derived.ctx.node_ = Ref{node};
        derived.cancel.node_ = Ref{node};
        return derived;
    }
    static void end(const CancelFunc& cancel, std::error_code why) noexcept {
        if (!cancel.node_) return;
        Canceler& node = *cancel.node_->canceler;
        node.stop_timer();
        node.cancel(errc::canceled, why);
    }
    template <class F>
    static StopFunc defer(const Context& ctx, F f) {
        auto* const call = make<DeferredCall<F>>(ctx, std::nullopt);
        StopFunc stop;
        stop.node_ = Ref{call};
        call->function.emplace(std::move(f));
        if (!call->above()) return stop;  // never ends
        running<Helper>();
        call->refs.fetch_add(1, std::memory_order_relaxed);
        if (!call->link()) call->tell();
        return stop;
    }
    static bool take_back(const StopFunc& stop) noexcept {
        auto* const call = static_cast<Deferred*>(stop.node_.get());
        if (!call || !call->claim(Deferred::taken_back)) return false;
        call->drop();
        if (call->above()) call->cancel(errc::canceled);
        return true;
    }
};

// saturating_add adds without overflow, and rounds up.
template <class Rep, class Period>
time_point saturating_add(time_point now, std::chrono::duration<Rep, Period> d) noexcept {
    const std::chrono::duration<long double, duration::period> ticks = d;
    if (!(ticks < time_point::max() - now)) return time_point::max();
    return ticks.count() > 0 ? now + std::chrono::ceil<duration>(ticks) : now;
}

inline Cancellable derive_until(const Context& parent, time_point deadline, time_point now,
                                std::error_code why) {
    const std::optional<time_point> inherited = parent.deadline();
    const bool own = !inherited || deadline < *inherited;
    if (own && now < deadline && deadline != time_point::max() && !parent.err()) {
        Timers& timers = running<Timers>();
        Cancellable derived = Access::derive<Timed>(parent, deadline);
        auto& timed = static_cast<Timed&>(*Access::canceler(derived.ctx));
        timed.deadline_cause = why;
        timers.add(timed);
        return derived;
    }
    Cancellable derived = Access::derive<Canceler>(parent, own ? deadline : inherited);
    if (deadline <= now) Access::canceler(derived.ctx)->cancel(errc::deadline_exceeded, why);
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
    return {static_cast<int>(e), detail::no_destructor<detail::ErrorCategory>()};
}

inline const std::stop_token& Context::done() const& {
    detail::Canceler* const canceler = detail::Access::canceler(*this);
    return canceler ? canceler->done() : detail::no_destructor<std::stop_token>();
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

inline void CancelFunc::operator()(std::error_code why) const noexcept {
    detail::Access::end(*this, why);
}

inline bool StopFunc::operator()() const noexcept { return detail::Access::take_back(*this); }

inline Context todo() noexcept {
    detail::Node& node = detail::no_destructor<detail::TodoNode>();
    node.refs.fetch_add(1, std::memory_order_relaxed);
    return detail::Access::adopt(&node);
}

inline Cancellable with_cancel(const Context& parent) {
    if (detail::Access::is_over(parent)) return {parent, {}};
    return detail::Access::derive<detail::Canceler>(parent, parent.deadline());
}

inline Cancellable with_deadline(const Context& parent, time_point deadline, std::error_code why) {
    return detail::derive_until(parent, deadline, std::chrono::steady_clock::now(), why);
}

template <class Rep, class Period>
Cancellable with_timeout(const Context& parent, std::chrono::duration<Rep, Period> timeout,
                         std::error_code why) {
    const time_point now = std::chrono::steady_clock::now();
    return detail::derive_until(parent, detail::saturating_add(now, timeout), now, why);
}

inline std::error_code cause(const Context& ctx) noexcept {
    const std::error_code err = ctx.err();
    if (!err) return err;
    const std::error_code given = detail::Access::canceler(ctx)->cause;
    return given ? given : err;
}

inline Context without_cancel(const Context& parent) {
    return detail::Access::adopt(new detail::DetachedNode(detail::Access::ref(parent)));
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
    const time_point end = detail::saturating_add(std::chrono::steady_clock::now(), d);
    if (const auto deadline = ctx.deadline(); deadline && *deadline <= end) return wait(ctx);
    return detail::wait_until(ctx.done(), end) ? ctx.err() : std::error_code{};
}

template <class F>
StopFunc after_func(const Context& ctx, F f) {
    return detail::Access::defer(ctx, std::move(f));
}

inline std::ostream& operator<<(std::ostream& out, const Context& ctx) {
    std::vector<const detail::Node*> path;
    for (const detail::Node* node = detail::Access::ref(ctx).get(); node;
         node = node->parent.get()) {
        path.push_back(node);
    }
    if (path.empty() || path.back() != &detail::no_destructor<detail::TodoNode>())
        out << "background";
    for (auto node = path.rbegin(); node != path.rend(); ++node) (*node)->print(out);
    return out;
}

}  // namespace context

#endif  // CONTEXT_HPP
