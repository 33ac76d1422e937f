// monitor: a cancel asks for an end; a second context confirms it. The one who cancelled waits for
// the confirmation instead of sleeping and hoping, and gives up when it does not come in time.
//
// Before: cause.cpp. Next: first_bare.cpp asks several at once.
#include <cstdlib>
#include <iostream>
#include <thread>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using context::Context;

class Monitor {
public:
    explicit Monitor(context::duration check) : check_(check) {}

    // start returns a context that ends when the monitor has really stopped. The monitor stops with
    // ctx; whatever makes listen return, the CancelFunc that its thread holds is destroyed then.
    Context start(const Context& ctx) {
        auto [stopped, confirm] = context::with_cancel(context::background());
        thread_ = std::jthread([this, ctx, confirms = std::move(confirm)] { listen(ctx); });
        return stopped;
    }

private:
    void listen(const Context& ctx) const {
        do {
            std::cout << "monitor check" << std::endl;
            std::this_thread::sleep_for(check_);
        } while (!context::sleep_for(ctx, 10ms));
        std::cout << "shutting down monitor" << std::endl;
    }

    const context::duration check_;  // how long a check takes, deaf to the context
    std::jthread thread_;
};

int main(int argc, char** argv) {
    context::duration run_for = 50ms, check = 0s;
    CLI::App app("A monitor that confirms its end.", "monitor");
    add_duration(app, "--run-for", run_for, "when to cancel it [50ms]");
    add_duration(app, "--check", check, "how long each check takes [0s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    const auto [ctx, cancel] = context::with_cancel(context::background());
    Monitor monitor(check);
    const Context stopped = monitor.start(ctx);
    std::this_thread::sleep_for(run_for);
    cancel();
    if (!context::sleep_for(stopped, 2s)) {  // it slept to the end: no confirmation
        std::cerr << "monitor: it has not stopped in time" << std::endl;
        std::_Exit(1);  // its thread cannot be joined
    }
    std::cout << "monitor has stopped" << std::endl;
}
