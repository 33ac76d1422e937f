// service_caller: a server that calls another one. Two things in the context of a request must
// reach the second server, in headers: its tracking ID, and how much time is left. So the second
// server does not work for a caller that has given up.
//
// The time travels as a duration in milliseconds, not as a point in time: the clocks of two
// machines differ. A duration is only wrong by the time that the request takes to arrive.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <optional>
#include <syncstream>
#include <utility>

#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;
using httplib::Request;
using httplib::Response;
using std::chrono::milliseconds;

static std::osyncstream out() { return std::osyncstream(std::cout); }

static const context::Key<std::string> tracking_id{"tracking id"};

// ServiceCaller calls a service on behalf of the request whose context it is given.
struct ServiceCaller {
    std::pair<std::string, std::optional<std::string>> call(const Context& ctx,
                                                            const std::string& data) const {
        HttpOptions options;
        if (const std::string* const id = ctx.value(tracking_id)) {
            options.headers.emplace("X-Tracking-ID", *id);
        }
        if (const auto deadline = ctx.deadline()) {
            const auto left = *deadline - std::chrono::steady_clock::now();
            // Rounded up: the caller gives up first.
            const auto ms = std::chrono::ceil<milliseconds>(left).count();
            options.headers.emplace("X-Time-Left-Ms", std::to_string(ms));
        }
        const auto [response, err] = http_get(ctx, url + "?data=" + data, options);
        if (err) return {"", err->message()};
        if (response.status == 200) return {response.body, {}};
        return {"", "unexpected status code " + std::to_string(response.status)};
    }
    std::string url;
};

// received is middleware: the context of its handler has the tracking ID of the request, and as
// much time as its caller has left, or `limit` if that is less.
static TestServer::Handler received(const std::string& server, milliseconds limit,
                                    const TestServer::Handler& handler) {
    return [=](const Context& ctx, const Request& request, Response& response) {
        const std::string id = request.get_header_value("X-Tracking-ID");
        const std::string left = request.get_header_value("X-Time-Left-Ms");
        auto ms = limit.count();  // stays if the header has no number
        std::from_chars(left.data(), left.data() + left.size(), ms);
        ms = std::min(ms, limit.count());
        out() << id << " has come to " << server << " with " << ms << " ms left" << std::endl;

        const Context named = context::with_value(ctx, tracking_id, id);
        const auto [limited, cancel] = context::with_timeout(named, milliseconds(ms));
        handler(limited, request, response);
    };
}

static void serve(const Context& ctx, const Request& request, Response& response) {
    const std::string data = request.get_param_value("data");
    const std::error_code aborted = context::sleep_for(ctx, data == "slow" ? 1h : 0h);
    if (aborted) out() << "back is aborted" << std::endl;
    if (aborted || data == "broken") response.status = 503;
    response.set_content("done: " + data, "text/plain");
}

int main() {
    const TestServer back(context::background(), received("back", 1min, serve));
    const auto ask_back = [&](const Context& ctx, const Request& request, Response& response) {
        const auto [result, err] =
            ServiceCaller{back.url()}.call(ctx, request.get_param_value("data"));
        if (err) response.status = 500;
        response.set_content(err.value_or(result), "text/plain");
        out() << "front has: " << err.value_or(result) << std::endl;
    };
    const TestServer front(context::background(), received("front", 2s, ask_back));

    int id = 41;
    for (const std::string data : {"work", "broken", "slow"}) {
        const auto ctx = with_value(context::background(), tracking_id, std::to_string(++id));
        const auto [result, err] = ServiceCaller{front.url()}.call(ctx, data);
        out() << "main has: " << err.value_or(result) << std::endl;
    }
}
