// group: functions that work for one result, each on a thread of its own. The first error aborts
// the others: it cancels their context, and is its cause. (In Go: golang.org/x/sync/errgroup.)
#include <functional>
#include <iostream>
#include <mutex>
#include <syncstream>
#include <thread>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

// Group starts functions and waits for them. Call its members on one thread.
class Group {
public:
    using Function = std::function<std::error_code(const Context& ctx)>;

    explicit Group(const Context& parent) : group_(context::with_cancel(parent)) {}
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    // The destructor cancels the context of what still runs, then joins it.
    ~Group() { group_.cancel(); }

    // go runs f on a new thread, with a context that is done when the parent is, or when a function
    // of the group has returned an error. f must not throw.
    void go(Function f) {
        threads_.emplace_back([this, f = std::move(f)] {
            const std::error_code err = f(group_.ctx);
            if (!err) return;
            std::call_once(failed_, [this, err] {
                first_error_ = err;
                group_.cancel(err);
            });
        });
    }

    // wait returns once all functions have, with the first error that one of them returned.
    std::error_code wait() {
        threads_.clear();
        return first_error_;
    }

private:
    context::Cancellable group_;
    std::once_flag failed_;
    std::error_code first_error_;
    std::vector<std::jthread> threads_;  // last: joined before the other members are destroyed
};

static std::osyncstream out() { return std::osyncstream(std::cout); }

static Group::Function fetch(const char* what, context::duration takes,
                             std::error_code fails = {}) {
    return [=](const Context& ctx) {
        const std::error_code aborted = context::sleep_for(ctx, takes);
        if (aborted) {
            out() << what << ": " << aborted.message()
                  << ", because: " << context::cause(ctx).message() << std::endl;
            return aborted;
        }
        out() << what << ": " << (fails ? fails.message() : "ok") << std::endl;
        return fails;
    };
}

int main() {
    Group page(context::background());
    page.go(fetch("article", 10ms));
    page.go(fetch("pictures", 1h));
    page.go(fetch("comments", 1s, make_error_code(std::errc::connection_refused)));
    const std::error_code err = page.wait();
    out() << "page: " << (err ? err.message() : "ok") << std::endl;
}
