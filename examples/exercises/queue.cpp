// queue, exercise 4. A consumer waits in a condition variable for something to take. When its
// context is done, nothing wakes it: the process would hang if main did not give up on it. Make
// take() return nothing as soon as the context is done, by a cancel or by its deadline, however
// long the queue stays empty. Until then it must not look into the queue again and again: ready()
// counts how often it is asked.
//
// It should print what stands in queue.txt.
//
// Hint: std::condition_variable_any has a wait() that takes a std::stop_token.
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <queue>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

class Queue {
public:
    void put(int item) {
        {
            const std::lock_guard lock(mutex_);
            items_.push(item);
        }
        changed_.notify_one();
    }

    // take waits for an item and takes it, or returns nothing once ctx is done.
    std::optional<int> take(const Context& ctx) {
        // EDIT HERE: once it waits, nothing of ctx can wake it.
        if (ctx.err()) return std::nullopt;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ready(); });
        const int item = items_.front();
        items_.pop();
        return item;
    }

    int times_asked() const { return times_asked_; }

private:
    bool ready() {
        ++times_asked_;
        return !items_.empty();
    }

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::queue<int> items_;
    int times_asked_ = 0;
};

static void consume(context::duration timeout, context::duration cancel_after) {
    const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
    auto [left, leave] = context::with_cancel(context::background());
    Queue queue;
    std::jthread consumer([&, leaves = std::move(leave)] {
        while (const auto item = queue.take(ctx)) std::cout << "took " << *item << std::endl;
        std::cout << "the consumer leaves: " << ctx.err().message() << std::endl;
    });
    for (const int item : {1, 2, 3}) queue.put(item);
    const std::error_code too_late = context::sleep_for(ctx, cancel_after);
    if (!too_late) cancel();

    const std::error_code has_left = context::sleep_for(left, 5s);
    if (!has_left) {
        std::cout << "nothing woke the consumer" << std::endl;
        std::_Exit(1);  // its thread cannot be joined
    }
    consumer.join();
    std::cout << "ready() was asked " << queue.times_asked() << " times" << std::endl;
}

int main() {
    consume(1h, 1s);
    consume(1s, 1h);
}
