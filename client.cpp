#include "client.hpp"

#include <iostream>
#include <syncstream>
#include <thread>

#include "net/http_get.hpp"

using context::Context;

// out returns a stream whose lines do not mix with those of another thread.
static std::osyncstream out() { return std::osyncstream(std::cout); }

// call_both calls both servers, each on a thread of its own. Both calls share a context. A call
// that fails cancels it, and so aborts the other one if that is still under way.
void call_both(const Context& parent, const std::string& error_value, const std::string& slow_url,
               const std::string& fast_url) {
    auto [ctx, cancel] = context::with_cancel(parent);  // cancel's destructor cancels (Go: defer)
    {
        std::jthread slow([&] {
            const auto err = call_server(ctx, "slow", slow_url);
            if (err) cancel();
        });
        std::jthread fast([&] {
            const auto err = call_server(ctx, "fast", fast_url + "?error=" + error_value);
            if (err) cancel();
        });
    }  // joins both threads (Go: wg.Wait)
    out() << "done with both" << std::endl;
}

// call_server calls one server and prints the answer. It returns what went wrong, if anything, so
// that its caller cancels. Any status is a success, and any body but "error".
std::optional<std::string> call_server(const Context& ctx, const std::string& label,
                                       const std::string& url) {
    const auto [response, error] = http_get(ctx, url);
    if (error) {
        out() << label << ' ' << to_string(error->phase) << " err: " << error->message()
              << std::endl;
        return error->message();
    }
    if (!response.body.empty()) out() << label << " result: " << response.body << std::endl;
    if (response.body == "error") {
        out() << "cancelling from " << label << std::endl;
        return "error happened";
    }
    return std::nullopt;
}
