// monitor: a cancel does not wait for the work to stop; a second context confirms that it has. main
// waits for the confirmation instead of sleeping and hoping, and gives up if it does not come in
// time.
//
// The first monitor checks and sleeps by turns. The second one hangs in a check.
#include <cstdlib>
#include <iostream>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

class Monitor {
public:
    explicit Monitor(context::duration check) : check_(check) {}

    // start returns a context that is done when the monitor has stopped, which it does when ctx is
    // done. Its thread owns the CancelFunc: however listen returns, that is destroyed then.
    Context start(const Context& ctx) {
        auto [stopped, confirm] = context::with_cancel(context::background());
        thread_ = std::jthread([this, ctx, confirms = std::move(confirm)] { listen(ctx); });
        return stopped;
    }

private:
    void listen(const Context& ctx) const {
        std::error_code aborted;
        do {
            std::cout << "monitor check" << std::endl;
            std::this_thread::sleep_for(check_);
            aborted = context::sleep_for(ctx, 10ms);
        } while (!aborted);
        std::cout << "shutting down monitor" << std::endl;
    }

    const context::duration check_;  // how long a check takes; nothing interrupts it
    std::jthread thread_;
};

int main() {
    for (const context::duration check : {0h, 1h}) {
        const auto [ctx, cancel] = context::with_cancel(context::background());
        Monitor monitor(check);
        const Context stopped = monitor.start(ctx);
        std::this_thread::sleep_for(50ms);
        cancel();
        const std::error_code confirmed = context::sleep_for(stopped, 2s);
        if (!confirmed) {
            std::cout << "the monitor has not stopped in time" << std::endl;
            std::_Exit(1);  // its thread cannot be joined
        }
        std::cout << "monitor has stopped" << std::endl;
    }
}
