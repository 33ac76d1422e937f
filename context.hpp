// context.hpp 0.2.0, from the project context_cancel: contexts for C++20, in one header that needs
// no other file. It is Go's package context in C++.
//
// A Context carries a cancellation signal, a deadline and values from a caller to everything that
// works on the caller's behalf, across functions and threads. Contexts form a tree: each is derived
// from a parent. When a context is done, so are all contexts derived from it, and no others. Only
// without_cancel breaks that chain.
//
//     background()
//     `-- with_timeout(2s)            one request     live
//         |-- with_cancel()           first call      cancelled: done
//         |   `-- with_value(key)                     done, too
//         `-- with_cancel()           second call     live
//
//     auto [ctx, cancel] = context::with_timeout(parent, 2s);
//     std::jthread worker([&] {
//         while (!context::sleep_for(ctx, 100ms)) do_some_work();
//     });
//     if (nobody_needs_it()) cancel();
//
// To let a context abort a system call that blocks, register a callback that wakes it. When the
// call returns, ask the context first: an aborted call may look like a success.
//
//     const std::stop_callback wake(ctx.done(), [&] { ::shutdown(socket, SHUT_RDWR); });
//     const ssize_t size = ::read(socket, data, sizeof data);
//     if (const std::error_code err = ctx.err()) return err;
//
// The wake-up must be remembered, since the callback may run just before the call blocks. A socket
// stays shut down, an eventfd readable, a flag under a mutex set. A signal or a bare notify_one()
// would be lost. See examples/stoppable_read.cpp. A write to a socket that is shut down raises
// SIGPIPE: send with MSG_NOSIGNAL.
//
// Rules for callers, as in Go: a function that can wait takes `const Context& ctx` as its first
// parameter and passes it on. Do not store a context in an object that outlives the call. A value
// is for what belongs to a request, not for optional parameters.
//
// Threads: all functions here, and all const members, may be called from any thread at any time. A
// single Context, CancelFunc or StopFunc is like a std::shared_ptr: to assign to it, move from it
// or destroy it while another thread uses that object is a data race. Copies of a Context are
// independent.
//
// Callbacks, which a std::stop_callback registers on done():
// - A callback runs at most once, on the thread that cancels or, for a deadline, on the timer
//   thread. If the token is stopped already, it runs at once, in the constructor of its
//   std::stop_callback.
// - Before it runs, err() is set on its context and on all descendants of that. Then their tokens
//   are stopped one by one, parents first, and the callbacks run one after the other.
// - It must not throw. It should be quick: cancel() waits for it, and on the timer thread it delays
//   all other deadlines. For slow work there is after_func.
// - It may cancel, derive, read or drop any context, its own included: no lock of this header is
//   held. It must not take a lock that the thread which cancels may hold.
// - It must not wait for a thread that waits for a descendant of its context. The token of the
//   descendant is stopped later, by the same thread.
// - The destructor of a std::stop_callback waits for its callback if that runs on another thread.
//   Do not destroy one while you hold a lock that its callback takes.
//
// When a cancel and a deadline meet, the first one gives the reason, and that stays.
//
// To merge two contexts, or to add a std::jthread's token, register a callback that cancels:
//
//     auto [ctx, cancel] = context::with_cancel(parent);
//     const std::stop_callback also(other.done(), std::ref(cancel));
//
// Values and deadline are then the parent's; the reason is errc::canceled if the other one came
// first. See examples/either.cpp.
//
// Errors: all that allocates may throw std::bad_alloc: to derive, to print, after_func, and the
// first done(), wait() or sleep_for() of a context. A deadline and after_func throw
// std::system_error if their hidden thread cannot start. Nothing has changed then. Cancelling
// allocates nothing and cannot fail.
//
// Hidden threads: one timer thread serves all deadlines, one helper thread runs the functions of
// after_func. Each starts at its first use. It takes no signals but those of its own faults. exit()
// waits for what runs on them, the helper first, and joins them. Statics that were made before the
// last of them started are destroyed only then. After that no thread watches deadlines: wait() and
// sleep_for() notice one, as do with_timeout and with_deadline, and run its callbacks themselves.
//
// Not as in Go: cancel() waits for the callbacks that it runs; the functions of after_func run one
// after the other; a key is known by its address; a cause is a std::error_code; Context is no
// interface.
//
// Limits: cancel() is not async-signal-safe: no signal handler may call it. The child of a fork()
// has neither hidden thread. It may only exec or _exit if the parent had other threads, hidden ones
// included. Two contexts cannot be compared. A library that hides its symbols has keys, hidden
// threads and an error category of its own: compare its errors with std::errc.
//
// Needs: std::stop_token and waits on atomics: libstdc++ 11, libc++ 20, or libc++ 18 with
// -fexperimental-library.
#ifndef CONTEXT_CANCEL_CONTEXT_HPP
#define CONTEXT_CANCEL_CONTEXT_HPP

#include <version>
#if !defined(__cpp_lib_jthread) || !defined(__cpp_lib_atomic_wait)
#error "context.hpp needs C++20 and std::stop_token: see Needs above"
#endif
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
    Ref& operator=(Ref other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
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

// errc is the reason why a context is done. canceled prints "context canceled" and equals
// std::errc::operation_canceled. deadline_exceeded prints "context deadline exceeded" and equals
// std::errc::timed_out.
enum class errc { canceled = 1, deadline_exceeded };
std::error_code make_error_code(errc e) noexcept;

// Key names a value of type T in a context. Its address is its identity, so keys cannot clash. A
// key is neither copied nor moved, and must outlive the contexts that it is used with. Make it a
// constant: inline const context::Key<std::string> tracking_id{"tracking id"};
template <class T>
struct Key {
    explicit constexpr Key(const char* literal) noexcept : name(literal) {}
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    const char* const name;  // for people only
};

// Context is a place in the tree, as a value: a copy is the same place and costs one atomic
// increment. It keeps alive what its ancestors hold, but not its descendants. Default-constructed
// or moved-from it is background(). See examples/four_questions.cpp.
class Context {
public:
    // done returns the token that is stopped when this context is done. Poll it, wait on it with
    // std::condition_variable_any, or register a std::stop_callback. A thread that sees it stopped
    // also sees err() set. But err() may be set earlier: tokens are stopped one after the other,
    // with their callbacks.
    //
    // The reference is valid as long as any copy of this context lives; on a temporary, done
    // returns the token itself. background().done().stop_possible() is false.
    const std::stop_token& done() const&;
    std::stop_token done() const&&;

    // err returns an empty code while this context is live, then an errc that never changes again.
    // If the parent was done first, that is the parent's.
    std::error_code err() const noexcept;

    // deadline returns when this context will be done at the latest, or nothing if no deadline was
    // given to it or to an ancestor. It is never later than the parent's. time_point::max(), which
    // never comes, is returned as it was given.
    std::optional<time_point> deadline() const noexcept;

    // value returns the value that was given with `key`, to this context or to the nearest ancestor
    // that has one; null if there is none. The pointer is valid as long as any copy of this context
    // lives. The call looks at one ancestor after the other.
    template <class T>
    const T* value(const Key<T>& key) const noexcept;

private:
    friend struct detail::Access;
    detail::Ref node_;
};

// CancelFunc cancels the context that it came with, when it is called or destroyed: Go's `defer
// cancel()`, impossible to forget. But a std::jthread that is declared later is joined first. To
// abort its work sooner, call the CancelFunc yourself. One that is declared earlier outlives both:
// give it a copy of the context, and no reference to the CancelFunc.
//
// It may be called from any thread, any number of times. When any call returns, err() is set on the
// context and on all its descendants. The call that makes a context done also stops its token and
// runs its callbacks before it returns. Another call does not wait for callbacks: they may run
// elsewhere, or have yet to begin. No call waits for the work to stop: join it for that, or see
// examples/monitor.cpp and examples/cancel_twice.cpp.
//
// cancel(why) makes `why` the cause of all that it cancels. A cause is a std::error_code: callers
// compare and print it, and handing it to a whole tree allocates nothing. For a text of your own,
// define a std::error_category. See examples/cause.cpp.
//
// A default-constructed or moved-from CancelFunc does nothing. Assigning to one cancels what it
// held.
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

// StopFunc withdraws what after_func was given. If it returns true, the function will never run
// and has been destroyed. If it returns false, the function has begun, has run or was withdrawn
// before. It does not wait for the function. Dropping a StopFunc changes nothing.
class StopFunc {
public:
    bool operator()() const noexcept;

private:
    friend struct detail::Access;
    detail::Ref node_;
};

// Cancellable is a derived context with the function that cancels it. Take both: after
// `auto ctx = with_cancel(parent).ctx;` the CancelFunc is gone, so ctx is cancelled at once.
struct [[nodiscard]] Cancellable {
    Context ctx;
    CancelFunc cancel;
};

// background returns the root of all contexts: never done, without a deadline, without values.
[[nodiscard]] inline Context background() noexcept { return {}; }

// todo returns a background() for code that does not know yet which context it should be given.
[[nodiscard]] Context todo() noexcept;

// with_cancel derives a context that is done when its CancelFunc is called or destroyed, or when
// `parent` is done. See examples/tree.cpp and examples/first.cpp.
Cancellable with_cancel(const Context& parent);

// with_deadline derives a context as with_cancel does, which is also done at `deadline`, with
// errc::deadline_exceeded and with `why` as its cause. It is never done early. How late it is
// depends on the machine's load and on the callbacks of other deadlines. If the deadline has
// passed, the context is done from the start. An earlier deadline of the parent stays in force, and
// so does an equal one, unless `why` is given. time_point::max() never comes. The first deadline of
// a program starts the timer thread, or throws std::system_error.
Cancellable with_deadline(const Context& parent, time_point deadline, std::error_code why = {});

// with_timeout is with_deadline at `timeout` from now. A timeout too long for the clock becomes
// time_point::max(); the deadline of one of zero or less has passed. See examples/lazy_server.cpp.
template <class Rep, class Period>
Cancellable with_timeout(const Context& parent, std::chrono::duration<Rep, Period> timeout,
                         std::error_code why = {});

// with_value derives a context in which ctx.value(key) is `value`. It is done when its parent is,
// for the same reason. The value must be safe to read from any thread. It is destroyed by the
// thread that drops the last context which can see it: that may be one that cancels, or a hidden
// thread. See examples/service_caller.cpp.
template <class T>
[[nodiscard]] Context with_value(const Context& parent, const Key<T>& key,
                                 std::type_identity_t<T> value);
template <class T>
Context with_value(const Context&, const Key<T>&&, std::type_identity_t<T>) = delete;

// without_cancel derives a context with the values of `parent` that is never done and has no
// deadline: for work that must go on after a cancel. See examples/cleanup.cpp.
[[nodiscard]] Context without_cancel(const Context& parent);

// cause returns why ctx is done: what was given to cancel(why), with_deadline or with_timeout, for
// it or for the ancestor that was done first; err() if nothing was given. It is empty while ctx is
// live.
std::error_code cause(const Context& ctx) noexcept;

// wait blocks until ctx is done, on background() forever, and returns err(): Go's `<-ctx.Done()`.
std::error_code wait(const Context& ctx);

// sleep_for blocks for `d` or until ctx is done: Go's `select` on time.After and ctx.Done(). It
// returns ctx.err() if the context aborted it, an empty code if it slept to the end. So
// `if (sleep_for(ctx, d))` is true for an aborted sleep. It is aborted, too, if ctx is done
// already, or if its deadline is not after the end of the sleep. See examples/worker.cpp.
//
// wait and sleep_for return at the deadline of ctx, or a millisecond later, even while a callback
// holds up the timer thread. Then err() is set, but done() is stopped only when the timer thread is
// free, even if somebody calls cancel().
template <class Rep, class Period>
[[nodiscard]] std::error_code sleep_for(const Context& ctx, std::chrono::duration<Rep, Period> d);

// after_func runs f once, when ctx is done, on the helper thread, which runs one function after the
// other: so f holds up other such functions and must not wait for one. The functions of one context
// run in the order in which they were given. f holds up neither the thread that cancels nor a
// deadline. It must not throw. It does not run if it has not begun when the process exits.
// after_func allocates all that it needs, so that the run cannot fail. See
// examples/server_shutdown.cpp.
template <class F>
StopFunc after_func(const Context& ctx, F f);

// Prints how ctx was derived: "background.with_deadline.with_value(tracking id)". Never a value.
// with_deadline prints as with_cancel if it needed no timer; a with_cancel of a context that was
// done is not shown.
std::ostream& operator<<(std::ostream& out, const Context& ctx);

}  // namespace context

template <>
struct std::is_error_code_enum<context::errc> : std::true_type {};

// ---------------------------------------------------------------------------------------------
// Internals. Nothing below is for callers.
//
// The tree. A derivation makes a Node, which holds its parent alive; so does after_func. Those that
// can be done (CancelNode) are also linked downwards, each into a list of the nearest CancelNode
// above it, so that a cancel finds them; other nodes are only passed through.
//
// Locks. Each CancelNode has one, which guards its reason, its token and the list of its children.
// A thread that holds one takes only locks below it, and runs no code of callers. A cancel holds a
// node's lock until all below it are done: one that is done and not locked has no live descendant.
//
// Lifetimes. A node in a list is live, or a thread that has a reference to it is marking it. A node
// among the timers is one whose CancelFunc has not been called. So a node that is found in either,
// under the lock that guards it, may be used, and no destructor has anything to unlink.
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
#include <signal.h>
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

struct CancelNode;
struct DeadlineNode;
struct TimerShard;

struct Node {
    Node(Ref parent_ref, CancelNode* nearest, const void* value_key) noexcept
        : parent(std::move(parent_ref)), cancel_node(nearest), key(value_key) {}
    virtual ~Node() = default;
    virtual void print(std::ostream& out) const = 0;

    Ref parent;                     // empty below background()
    CancelNode* const cancel_node;  // the nearest one, this node included; null if there is none
    const void* const key;          // of a ValueNode, the address of its Key
    std::atomic<std::uint32_t> refs{1};
};

inline Ref::Ref(const Ref& other) noexcept : node_(other.node_) {
    if (node_) node_->refs.fetch_add(1, std::memory_order_relaxed);
}

// A sole owner need not count down: nobody else can find the node then. The last reference
// takes over the node's reference to its parent and drops that next: a loop, because a recursion
// would overflow the stack on a long chain.
inline Ref::~Ref() {
    while (node_ && (node_->refs.load(std::memory_order_acquire) == 1 ||
                     node_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)) {
        Node* const last = node_;
        node_ = std::exchange(last->parent.node_, nullptr);
        delete last;
    }
}

template <class T>
struct ValueNode final : Node {
    ValueNode(Ref parent_ref, CancelNode* nearest, const Key<T>& value_key, T&& v)
        : Node(std::move(parent_ref), nearest, &value_key), value(std::move(v)) {}
    void print(std::ostream& out) const override {
        out << ".with_value(" << static_cast<const Key<T>*>(key)->name << ')';
    }

    const T value;
};

// NeverDoneNode is a todo(), or a without_cancel() of its parent.
struct NeverDoneNode final : Node {
    explicit NeverDoneNode(const char* how_derived = "todo", Ref parent_ref = Ref{}) noexcept
        : Node(std::move(parent_ref), nullptr, nullptr), how(how_derived) {}
    void print(std::ostream& out) const override { out << how; }

    const char* const how;
};

// Lock is a mutex of one byte. It is mostly held for less time than a sleep takes, so lock tries
// ten times first. It yields in between: spinning threads take the byte from each other's cache.
class Lock {
public:
    bool is_locked() const noexcept { return state_.load(std::memory_order_acquire) != unlocked; }
    void lock() noexcept {
        for (int tries = 0; tries < 10; ++tries) {
            if (!is_locked() && change(unlocked, locked, std::memory_order_acquire)) return;
            std::this_thread::yield();
        }
        while (state_.exchange(contended, std::memory_order_acquire) != unlocked) {
            state_.wait(contended, std::memory_order_relaxed);
        }
    }

    // try_unlock fails if another thread may sleep in lock().
    bool try_unlock() noexcept { return change(locked, unlocked, std::memory_order_release); }
    void unlock() noexcept {
        if (state_.exchange(unlocked) == contended) state_.notify_one();
    }

private:
    enum State : std::uint8_t { unlocked, locked, contended };
    bool change(State from, State to, std::memory_order order) noexcept {
        return state_.compare_exchange_strong(from, to, order, std::memory_order_relaxed);
    }
    std::atomic<State> state_{unlocked};
};

struct CancelNode : Node {
    CancelNode(Ref parent_ref, std::optional<time_point> done_at, std::error_code why = {}) noexcept
        : Node(std::move(parent_ref), this, nullptr),
          has_deadline(done_at.has_value()),
          deadline(done_at.value_or(time_point::max())),
          cause(why) {}

    bool is_done() const noexcept { return reason.load(std::memory_order_acquire) != 0; }
    bool is_subtree_done() const noexcept { return is_done() && !lock.is_locked(); }
    CancelNode* above() const noexcept { return parent ? parent->cancel_node : nullptr; }

    const std::stop_token& done() {
        if (needs_wake.load(std::memory_order_acquire)) return token;
        std::stop_source fresh;  // allocates, so before the lock
        const std::lock_guard guard(lock);
        if (!needs_wake.load(std::memory_order_relaxed)) {
            if (is_done()) fresh.request_stop();  // nobody has registered a callback yet
            source = std::move(fresh);
            token = source.get_token();
            needs_wake.store(true, std::memory_order_release);
        }
        return token;
    }

    // link makes this node a child of the one above, if that is live, otherwise done for the same
    // reason. It returns whether the node is live.
    bool link() noexcept {
        CancelNode* const to = above();
        if (!to) return true;
        if (!to->is_done()) {
            const std::lock_guard guard(to->lock);
            if (!to->is_done()) {
                here = &to->first_child;
                next_sibling = std::exchange(*here, this);
                if (next_sibling) next_sibling->here = &next_sibling;
                return true;
            }
        }
        cause = to->cause;
        reason.store(to->reason, std::memory_order_release);
        return false;
    }

    // unlink takes this node from the list of the one above. If that is done, a cancel has emptied
    // the list already, and there is nothing to unlink.
    void unlink() noexcept {
        CancelNode* const from = above();
        if (!from) return;
        const std::lock_guard guard(from->lock);
        if (from->is_done()) return;
        *here = next_sibling;
        if (next_sibling) next_sibling->here = here;
    }

    // lock_and_mark gives this node its reason and returns true, with the lock held. It returns
    // false if the node has one already; then all below it are done, too. A child stays alive here:
    // another thread that marks it waits in unlink for the lock of its parent, which is ours. A
    // DeadlineNode keeps its own cause, whichever deadline comes: its ancestors' are no earlier.
    bool lock_and_mark(errc err, std::error_code why) noexcept {
        lock.lock();
        if (is_done()) {
            lock.unlock();
            return false;
        }
        if (err != errc::deadline_exceeded || !as_deadline()) cause = why;
        reason.store(static_cast<std::uint8_t>(err), std::memory_order_release);
        return true;
    }

    // mark_all makes this node done, and all below it. It goes down to each child and comes back up
    // when all below that are done: so it holds the locks of the nodes on its way, and of no
    // others. Only then does this node leave its parent's list: a cancel from above meets it there
    // and waits for its lock. It returns the nodes to wake, each with a reference: parents before
    // children, and older siblings before younger ones.
    //
    // A descendant may be gone as soon as its lock is free, and unlock() must not touch it then. So
    // a node on whose lock a thread may sleep is returned, too, with a reference.
    CancelNode* mark_all(errc err, std::error_code why = {}) noexcept {
        if (is_subtree_done() || !lock_and_mark(err, why)) return nullptr;
        CancelNode* to_wake = nullptr;
        for (CancelNode* node = this; node;) {
            if (CancelNode* const child = node->first_child) {
                node->first_child = child->next_sibling;
                if (child->lock_and_mark(err, node->cause)) node = child;
                continue;
            }
            CancelNode* const up = node == this ? nullptr : node->above();
            if (node->needs_wake.load(std::memory_order_relaxed) || !node->lock.try_unlock()) {
                node->refs.fetch_add(1, std::memory_order_relaxed);
                node->next_to_wake = std::exchange(to_wake, node);
                node->lock.unlock();
            }
            node = up;
        }
        unlink();
        return to_wake;
    }

    static void wake_all(CancelNode* to_wake) noexcept {
        while (to_wake) {
            const Ref node{to_wake};
            to_wake->wake();
            to_wake = to_wake->next_to_wake;
        }
    }
    void cancel(errc err, std::error_code why = {}) noexcept { wake_all(mark_all(err, why)); }
    virtual DeadlineNode* as_deadline() noexcept { return nullptr; }
    virtual void wake() noexcept {
        if (needs_wake.load(std::memory_order_acquire)) source.request_stop();
    }
    void print(std::ostream& out) const override { out << ".with_cancel"; }

    Lock lock;
    std::atomic<bool> needs_wake{false};  // wake() has something to do; publishes the token
    std::atomic<std::uint8_t> reason{0};  // an errc; 0 while live; publishes `cause`
    const bool has_deadline;              // of its own or of an ancestor
    const time_point deadline;            // time_point::max() if there is none
    std::error_code cause;                // while live, the one that its own deadline would give
    std::stop_source source{std::nostopstate};
    std::stop_token token;

    union {
        CancelNode* first_child = nullptr;
        CancelNode* next_to_wake;  // once this node is done: see mark_all
    };
    // Guarded by the lock of the node above; `here` is the pointer that leads to this node.
    union {
        CancelNode* next_sibling = nullptr;
        CancelNode* next_call;  // of a CallNode that is done: see Helper
    };
    CancelNode** here = nullptr;
};

// DeadlineNode is a CancelNode with a deadline of its own, which is no later than those above.
struct DeadlineNode final : CancelNode {
    using CancelNode::CancelNode;
    DeadlineNode* as_deadline() noexcept override { return this; }
    void print(std::ostream& out) const override { out << ".with_deadline"; }

    // Guarded by the mutex of `shard`: the first node below this one in the heap, the next one
    // beside it, and the one that leads to it.
    TimerShard* shard = nullptr;
    DeadlineNode* below = nullptr;
    DeadlineNode* beside = nullptr;
    DeadlineNode* before = nullptr;
};

// TimerShard is a part of the timers with a lock of its own, so that threads that make and drop
// deadlines do not meet on one: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) whose
// links lie in its elements. add allocates nothing and takes constant time, remove amortized
// logarithmic time. In the usual case, a later deadline that is cancelled, both write a few links.
struct alignas(64) TimerShard {
    void add(DeadlineNode& t) noexcept {
        const std::lock_guard guard(mutex);
        t.shard = this;
        root = merge(root, &t);
        if (root == &t) earliest = t.deadline;
    }

    void remove(DeadlineNode& t) noexcept {
        const std::lock_guard guard(mutex);
        if (&t == root || t.before) erase(t);
    }

    Ref take_expired(time_point now) noexcept {
        if (now < earliest.load()) return Ref{};
        const std::lock_guard guard(mutex);
        if (!root || now < root->deadline) return Ref{};
        DeadlineNode* const first = root;
        erase(*first);
        first->refs.fetch_add(1, std::memory_order_relaxed);
        return Ref{first};
    }

    void erase(DeadlineNode& t) noexcept {
        DeadlineNode* const orphans = merge_all(std::exchange(t.below, nullptr));
        if (&t == root) {
            root = orphans;
            earliest = root ? root->deadline : time_point::max();
            return;
        }
        DeadlineNode*& link = t.before->below == &t ? t.before->below : t.before->beside;
        link = t.beside;
        if (t.beside) t.beside->before = t.before;
        t.beside = t.before = nullptr;
        root = merge(root, orphans);
    }

    // merge puts the later of two roots below the other one.
    static DeadlineNode* merge(DeadlineNode* a, DeadlineNode* b) noexcept {
        if (!a || !b) return a ? a : b;
        if (b->deadline < a->deadline) std::swap(a, b);
        b->before = a;
        b->beside = a->below;
        if (b->beside) b->beside->before = b;
        a->below = b;
        return a;
    }

    // merge_all makes one heap of a list of siblings: in pairs, then the pairs one after the other.
    static DeadlineNode* merge_all(DeadlineNode* first) noexcept {
        DeadlineNode* pairs = nullptr;
        while (first) {
            DeadlineNode* const a = take(first);
            DeadlineNode* const pair = merge(a, first ? take(first) : nullptr);
            pair->beside = std::exchange(pairs, pair);
        }
        DeadlineNode* whole = nullptr;
        while (pairs) whole = merge(whole, take(pairs));
        return whole;
    }

    static DeadlineNode* take(DeadlineNode*& first) noexcept {
        DeadlineNode* const t = std::exchange(first, first->beside);
        t->beside = t->before = nullptr;
        return t;
    }

    std::mutex mutex;
    DeadlineNode* root = nullptr;
    std::atomic<time_point> earliest{time_point::max()};  // written under the mutex
};

// SignalsBlocked keeps signals from a thread that is started while it lives: they are for the
// program, its handlers, its sigwait. The thread takes only those that a fault of its own raises.
#if __has_include(<unistd.h>)
inline long this_process() noexcept { return ::getpid(); }
struct SignalsBlocked {
    SignalsBlocked() noexcept {
        sigset_t most;
        ::sigfillset(&most);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
            ::sigdelset(&most, fault);
        }
        ::pthread_sigmask(SIG_SETMASK, &most, &before);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }

    sigset_t before;
};
#else
inline long this_process() noexcept { return 0; }
struct SignalsBlocked {};
#endif

// Service is a thread of the process: started at the first use, joined at exit, never destroyed.
class Service {
public:
    // A callback that calls exit() is on the thread itself, which is not joined then.
    void stop() noexcept {
        if (has_no_thread()) return;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            changed_.notify_one();
        }
        if (thread_.get_id() != std::this_thread::get_id()) thread_.join();
    }

protected:
    ~Service() = default;
    virtual void run() noexcept = 0;
    void start() {
        [[maybe_unused]] const SignalsBlocked blocked;
        thread_ = std::thread([this] { run(); });
    }

    // The thread has been stopped, or this is the child of a fork().
    bool has_no_thread() const noexcept { return stopping_ || process_ != this_process(); }

    std::atomic<bool> stopping_{false};  // set under the mutex
    std::mutex mutex_;
    std::condition_variable changed_;

private:
    const long process_ = this_process();
    std::thread thread_;
};

// Timers serves all deadlines. Its thread sleeps until the earliest.
class Timers final : public Service {
public:
    Timers() { start(); }

    // add writes `earliest` and then reads `wakes_at_`; run writes `wakes_at_` and then reads
    // `earliest`. In the one order of seq_cst one of them sees what the other has written. So
    // either add sees when the thread means to wake, or the thread sees the new deadline before it
    // sleeps. A deadline that is not the first of its shard needs no wake-up.
    void add(DeadlineNode& t) noexcept {
        static std::atomic<unsigned> threads{0};
        thread_local const unsigned mine = threads.fetch_add(1, std::memory_order_relaxed);
        shards_[mine % shards_.size()].add(t);
        if (t.deadline < wakes_at_.load()) {
            const std::lock_guard lock(mutex_);
            changed_.notify_one();
        }
    }

    // wake_later lets the timer thread wake the nodes of a list from mark_all. If that has ended,
    // this thread does. Nobody else would: a cancel that comes later finds them done.
    void wake_later(CancelNode* list) noexcept {
        if (!list) return;
        CancelNode* last = list;
        while (last->next_to_wake) last = last->next_to_wake;
        if (std::unique_lock lock(mutex_); !has_no_thread()) {
            last->next_to_wake = std::exchange(to_wake_, list);
            changed_.notify_one();
            return;
        }
        CancelNode::wake_all(list);
    }

private:
    // Each round takes what has expired when it begins, so that callbacks which keep making
    // deadlines cannot keep the thread from the other shards.
    void run() noexcept override {
        for (;;) {
            const time_point now = std::chrono::steady_clock::now();
            for (TimerShard& shard : shards_) {
                while (const Ref expired = stopping_ ? Ref{} : shard.take_expired(now)) {
                    expired->cancel_node->cancel(errc::deadline_exceeded);
                }
            }
            std::unique_lock lock(mutex_);
            if (CancelNode* const to_wake = std::exchange(to_wake_, nullptr)) {
                lock.unlock();
                CancelNode::wake_all(to_wake);
                continue;
            }
            if (stopping_) return;
            const time_point next = earliest();
            wakes_at_ = next;
            if (earliest() < next) continue;
            changed_.wait_until(
                lock, std::min(next, now + std::chrono::hours(24)));  // to wait for max() overflows
        }
    }

    time_point earliest() const noexcept {
        time_point first = time_point::max();
        for (const TimerShard& shard : shards_) first = std::min(first, shard.earliest.load());
        return first;
    }

    std::array<TimerShard, 16> shards_;
    std::atomic<time_point> wakes_at_{time_point::max()};  // written under the mutex
    CancelNode* to_wake_ = nullptr;                        // guarded by the mutex
};

// CallNode is a function of after_func: a node below the context that it waits for, which hands
// itself to the helper thread when it is done. While it is linked or handed over it holds a
// reference to itself. Only the first to claim it, which calls or withdraws it, uses the function.
struct CallNode : CancelNode {
    explicit CallNode(Ref parent_ref) noexcept : CancelNode(std::move(parent_ref), std::nullopt) {
        needs_wake = true;
    }
    void wake() noexcept override;
    virtual void drop() noexcept = 0;
    virtual void run() noexcept = 0;
    bool claim() noexcept { return !is_claimed.exchange(true); }

    std::atomic<bool> is_claimed{false};
};

template <class F>
struct Call final : CallNode {
    using CallNode::CallNode;
    void drop() noexcept override { function.reset(); }
    void run() noexcept override {
        (*function)();
        drop();
    }

    std::optional<F> function;
};

// Helper runs the functions of after_func on one thread, in the order in which they come.
class Helper final : public Service {
public:
    Helper() { start(); }

    void push(CallNode& call) noexcept {
        const std::lock_guard lock(mutex_);
        call.next_call = nullptr;
        *end_ = &call;
        end_ = &call.next_call;
        changed_.notify_one();
    }

private:
    // A round ends by dropping its reference, without the lock: that may destroy values.
    void run() noexcept override {
        while (const Ref handed_over = pop()) {
            auto& call = static_cast<CallNode&>(*handed_over->cancel_node);
            if (call.claim()) call.run();
        }
    }

    // pop waits for a function; null means that the process exits.
    Ref pop() noexcept {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || first_; });
        if (stopping_) return Ref{};
        CancelNode* const popped = std::exchange(first_, first_->next_call);
        if (!first_) end_ = &first_;
        return Ref{popped};
    }

    CancelNode* first_ = nullptr;
    CancelNode** end_ = &first_;
};

// service_if_started points to the one object of a class of services; null before its first use.
template <class S>
inline std::atomic<S*> service_if_started{nullptr};

// wake hands its reference to itself to the helper, or drops it if the function was withdrawn.
inline void CallNode::wake() noexcept {
    if (!is_claimed) return service_if_started<Helper>.load()->push(*this);
    const Ref last{this};
}

// stop_services runs at exit: the helper first, whose function may wait for a deadline's callback.
inline void stop_services() noexcept {
    if (Helper* const helper = service_if_started<Helper>) helper->stop();
    if (Timers* const timers = service_if_started<Timers>) timers->stop();
}

// service returns the one object of a class of services, with its thread started. What fails is
// tried again by the next call.
template <class S>
S& service() {
    static S& made = *new S;
    [[maybe_unused]] static const bool stops_at_exit = [] {
        service_if_started<S> = &made;
        if (std::atexit(stop_services) == 0) return true;
#ifdef __cpp_exceptions
        throw std::bad_alloc();
#else
        std::abort();
#endif
    }();
    return made;
}

// Access lets the functions of this header into the handles.
struct Access {
    static const Ref& ref(const Context& ctx) noexcept { return ctx.node_; }
    static CancelNode* cancel_node(const Context& ctx) noexcept {
        return ctx.node_ ? ctx.node_->cancel_node : nullptr;
    }
    static Context adopt(Node* node) noexcept {
        Context ctx;
        ctx.node_ = Ref{node};
        return ctx;
    }

    template <class Derived, class... Args>
    static Cancellable derive(const Context& parent, Args... args) {
        auto* const node = new Derived(ref(parent), args...);
        node->refs.store(2, std::memory_order_relaxed);  // ctx and cancel
        node->link();
        Cancellable derived{adopt(node), {}};
        derived.cancel.node_ = Ref{node};
        return derived;
    }
    template <class F>
    static StopFunc call_when_done(const Context& ctx, F f) {
        auto* const call = new Call<F>(ref(ctx));
        StopFunc stop;
        stop.node_ = Ref{call};
        call->function.emplace(std::move(f));
        if (!call->above()) return stop;  // ctx is never done
        service<Helper>();
        call->refs.fetch_add(1, std::memory_order_relaxed);
        if (!call->link()) call->wake();
        return stop;
    }
};

// saturating_add adds without overflow, rounds up, and never goes back.
template <class Rep, class Period>
time_point saturating_add(time_point now, std::chrono::duration<Rep, Period> d) noexcept {
    const std::chrono::duration<long double, duration::period> ticks = d;
    if (!(ticks < time_point::max() - now)) return time_point::max();
    return ticks.count() > 0 ? now + std::chrono::ceil<duration>(ticks) : now;
}

// notice_deadline marks the node whose deadline ctx has passed; callbacks are the timer thread's.
inline void notice_deadline(const Context& ctx) {
    if (ctx.err()) return;
    CancelNode* node = Access::cancel_node(ctx);
    while (!node->as_deadline()) node = node->above();
    service<Timers>().wake_later(node->mark_all(errc::deadline_exceeded));
}

inline Cancellable derive_until(const Context& parent, time_point deadline, time_point now,
                                std::error_code why) {
    const std::optional<time_point> inherited = parent.deadline();
    const bool own = !inherited || deadline < *inherited || (deadline == *inherited && why);
    if (own && now < deadline && deadline != time_point::max() && !parent.err()) {  // needs a timer
        Timers& timers = service<Timers>();
        Cancellable derived = Access::derive<DeadlineNode>(parent, deadline, why);
        timers.add(*Access::cancel_node(derived.ctx)->as_deadline());
        return derived;
    }
    if (!own && *inherited <= now) notice_deadline(parent);  // the timer thread is late
    Cancellable derived = Access::derive<CancelNode>(parent, own ? deadline : inherited);
    if (own && deadline <= now) {
        Access::cancel_node(derived.ctx)->cancel(errc::deadline_exceeded, why);
    }
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

// sleep_until blocks until ctx is done, and returns err(), or until `end`. The timer thread gets a
// millisecond's grace, but no more: a callback may hold it up.
inline std::error_code sleep_until(const Context& ctx, time_point end) {
    if (const std::error_code err = ctx.err()) return err;
    const time_point deadline = ctx.deadline().value_or(time_point::max());
    const bool to_the_end = end < deadline;
    const std::chrono::milliseconds patience{1};
    if (!wait_until(ctx.done(), to_the_end ? end : saturating_add(deadline, patience))) {
        if (to_the_end) return {};
        notice_deadline(ctx);
    }
    return ctx.err();
}

struct ErrorCategory final : std::error_category {
    const char* name() const noexcept override { return "context"; }
    std::string message(int code) const override {
        if (errc{code} == errc::canceled) return "context canceled";
        if (errc{code} == errc::deadline_exceeded) return "context deadline exceeded";
        return "unknown context error";
    }
    std::error_condition default_error_condition(int code) const noexcept override {
        if (errc{code} == errc::canceled) return std::errc::operation_canceled;
        if (errc{code} == errc::deadline_exceeded) return std::errc::timed_out;
        return {code, *this};
    }
};

}  // namespace context::detail

namespace context {

inline std::error_code make_error_code(errc e) noexcept {
    return {static_cast<int>(e), detail::no_destructor<detail::ErrorCategory>()};
}

inline const std::stop_token& Context::done() const& {
    detail::CancelNode* const node = detail::Access::cancel_node(*this);
    return node ? node->done() : detail::no_destructor<std::stop_token>();
}

inline std::stop_token Context::done() const&& { return done(); }

inline std::error_code Context::err() const noexcept {
    const detail::CancelNode* const node = detail::Access::cancel_node(*this);
    const int reason = node ? node->reason.load(std::memory_order_acquire) : 0;
    return reason ? make_error_code(static_cast<errc>(reason)) : std::error_code{};
}

inline std::optional<time_point> Context::deadline() const noexcept {
    const detail::CancelNode* const node = detail::Access::cancel_node(*this);
    return node && node->has_deadline ? std::optional(node->deadline) : std::nullopt;
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
    if (!node_) return;
    detail::CancelNode& node = *node_->cancel_node;
    if (detail::DeadlineNode* const timed = node.as_deadline()) timed->shard->remove(*timed);
    node.cancel(errc::canceled, why);
}

inline bool StopFunc::operator()() const noexcept {
    const detail::Ref held = node_;  // the function that is dropped may own this StopFunc
    auto* const call = static_cast<detail::CallNode*>(held.get());
    if (!call || !call->claim()) return false;
    call->drop();
    if (call->above()) call->cancel(errc::canceled);
    return true;
}

inline Context todo() noexcept {
    detail::Node& node = detail::no_destructor<detail::NeverDoneNode>();
    node.refs.fetch_add(1, std::memory_order_relaxed);
    return detail::Access::adopt(&node);
}

inline Cancellable with_cancel(const Context& parent) {
    const detail::CancelNode* const above = detail::Access::cancel_node(parent);
    if (above && above->is_subtree_done()) return {parent, {}};  // no cancel would do anything
    return detail::Access::derive<detail::CancelNode>(parent, parent.deadline());
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
    const std::error_code given = detail::Access::cancel_node(ctx)->cause;
    return given ? given : err;
}

inline Context without_cancel(const Context& parent) {
    return detail::Access::adopt(
        new detail::NeverDoneNode(".without_cancel", detail::Access::ref(parent)));
}

template <class T>
Context with_value(const Context& parent, const Key<T>& key, std::type_identity_t<T> value) {
    return detail::Access::adopt(new detail::ValueNode<T>(
        detail::Access::ref(parent), detail::Access::cancel_node(parent), key, std::move(value)));
}

inline std::error_code wait(const Context& ctx) {
    return detail::sleep_until(ctx, time_point::max());
}

template <class Rep, class Period>
std::error_code sleep_for(const Context& ctx, std::chrono::duration<Rep, Period> d) {
    return detail::sleep_until(ctx, detail::saturating_add(std::chrono::steady_clock::now(), d));
}

template <class F>
StopFunc after_func(const Context& ctx, F f) {
    return detail::Access::call_when_done(ctx, std::move(f));
}

inline std::ostream& operator<<(std::ostream& out, const Context& ctx) {
    std::vector<const detail::Node*> path;
    const detail::Node* node = detail::Access::ref(ctx).get();
    for (; node; node = node->parent.get()) path.push_back(node);
    if (path.empty() || path.back() != &detail::no_destructor<detail::NeverDoneNode>()) {
        out << "background";
    }
    for (auto step = path.rbegin(); step != path.rend(); ++step) (*step)->print(out);
    return out;
}

}  // namespace context

#endif  // CONTEXT_CANCEL_CONTEXT_HPP
