// four_questions: what each kind of context answers to done(), err(), deadline() and value().
#include <chrono>
#include <iostream>
#include <string>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static const context::Key<std::string> user{"user"};

static void ask(const Context& ctx) {
    const std::stop_token done = ctx.done();
    std::cout << ctx << "\n  done      "
              << (!done.stop_possible()   ? "never"
                  : done.stop_requested() ? "yes"
                                          : "not yet");
    std::cout << "\n  err       " << (ctx.err() ? ctx.err().message() : "none") << "\n  deadline  ";
    if (const auto deadline = ctx.deadline()) {
        const auto left = *deadline - std::chrono::steady_clock::now();
        const auto minutes = std::chrono::ceil<std::chrono::minutes>(left).count();
        std::cout << (left > 0s ? "in " + std::to_string(minutes) + " min" : "has passed");
    } else {
        std::cout << "none";
    }
    const std::string* const value = ctx.value(user);
    std::cout << "\n  user      " << (value ? *value : "none") << '\n';
}

int main() {
    ask(context::background());
    ask(context::todo());

    const Context named = context::with_value(context::background(), user, "gopher");
    const auto [live, cancel_live] = context::with_cancel(named);
    const auto [timed, cancel_timed] = context::with_timeout(live, 1h);
    const auto [late, cancel_late] = context::with_timeout(live, -1s);  // needs no timer
    ask(named);
    ask(live);
    ask(timed);
    ask(late);

    cancel_live();
    ask(timed);
    ask(context::without_cancel(timed));
}
