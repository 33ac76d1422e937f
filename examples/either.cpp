// either: a context that is done as soon as either of two is. A CancelFunc can be called like any
// function, so a std::stop_callback on the other context can call it.
//
// Values and deadline come from the parent alone. If the other one is done first, err() is
// errc::canceled; a lambda that calls cancel(cause(other)) would hand on the cause, too. The
// destructor of `also` waits if another thread is just calling cancel() through it.
//
// The other one can be any std::stop_token, for example that of a std::jthread.
#include <functional>
#include <iostream>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

// work takes an hour. It is aborted as soon as `parent` is done or `other` is stopped.
static void work(const Context& parent, const std::stop_token& other) {
    const auto [ctx, cancel] = context::with_cancel(parent);
    const std::stop_callback also(other, std::ref(cancel));
    std::cout << context::sleep_for(ctx, 1h).message() << std::endl;
}

int main() {
    const auto [server, close] = context::with_cancel(context::background());

    std::cout << "The request is done first: ";
    const auto [request, cancel] = context::with_timeout(context::background(), 100ms);
    work(request, server.done());

    std::cout << "The server is done first: ";
    {
        std::jthread closer([&close] { close(); });
        work(context::background(), server.done());
    }

    std::cout << "A stop of the thread is requested: ";
    {
        std::jthread worker([](const std::stop_token& stop) { work(context::background(), stop); });
    }  // requests a stop, then joins
}
