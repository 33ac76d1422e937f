// service_caller: a server that calls another one. The tracking ID of a request travels through
// both: by header from server to server, in the context within each. The time that the first server
// gives a request also ends its call to the second.
//
// Before: middleware.cpp. Next: server_shutdown.cpp ends a server.
#include <csignal>
#include <iostream>
#include <optional>
#include <utility>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"
#include "net/http_get.hpp"
#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;
using httplib::Request;
using httplib::Response;

static const context::Key<std::string> tracking_id{"tracking id"};

// tracked is middleware: it hands the tracking ID of the request to the handler.
static TestServer::Handler tracked(const std::string& server, const TestServer::Handler& handler) {
    return [=](const Context& ctx, const Request& request, Response& response) {
        const std::string id = request.get_header_value("X-Tracking-ID");
        std::cout << id << " has come to " << server << std::endl;
        handler(context::with_value(ctx, tracking_id, id), request, response);
    };
}

// ServiceCaller calls a service on behalf of the request whose context it is given.
struct ServiceCaller {
    std::pair<std::string, std::optional<std::string>> call(const Context& ctx,
                                                            const std::string& data) const {
        HttpOptions options;
        if (const auto* const id = ctx.value(tracking_id))
            options.headers.emplace("X-Tracking-ID", *id);
        const auto [response, err] = http_get(ctx, url + "?data=" + data, options);
        if (err) return {"", err->message()};
        if (response.status == 200) return {response.body, {}};
        return {"", "unexpected status code " + std::to_string(response.status)};
    }
    std::string url;
};

// serve does not hear that its caller has given up: only the end of its own server ends its sleep.
static void serve(const Context& ctx, const Request& request, Response& response) {
    const std::string data = request.get_param_value("data");
    if (data == "slow" && context::sleep_for(ctx, 1h)) return;
    if (data == "broken") response.status = 503;
    response.set_content("done: " + data, "text/plain");
}

int main(int argc, char** argv) {
    context::duration limit = 1s;
    CLI::App app("A tracking ID and a deadline, from server to server.", "service_caller");
    add_duration(app, "--limit", limit, "how long the first server gives a request [1s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, as in Go
    const TestServer back(context::background(), tracked("back", serve));
    const auto ask_back = [&](const Context& parent, const Request& request, Response& response) {
        const auto [ctx, cancel] = context::with_timeout(parent, limit);
        const auto [result, err] =
            ServiceCaller{back.url()}.call(ctx, request.get_param_value("data"));
        if (err) response.status = 500;
        response.set_content(err.value_or(result), "text/plain");
        std::cout << "front has: " << err.value_or(result) << std::endl;
    };
    const TestServer front(context::background(), tracked("front", ask_back));

    const ServiceCaller caller{front.url()};
    int id = 41;
    for (const std::string data : {"work", "broken", "slow"}) {
        const auto ctx = with_value(context::background(), tracking_id, std::to_string(++id));
        const auto [result, err] = caller.call(ctx, data);
        std::cout << "main has: " << err.value_or(result) << std::endl;
    }
}
