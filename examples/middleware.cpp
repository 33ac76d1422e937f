// middleware: a layer around a handler gives its context a value and a deadline. The handler, and
// the logic that it calls, find both there and need not know of the layer.
//
// In Go the context is hidden in the request, http.Request.Context(). Here a handler takes it as a
// parameter.
#include <iostream>
#include <stdexcept>

#include "net/test_server.hpp"

using namespace std::chrono_literals;
using context::Context;
using httplib::Request;
using httplib::Response;

static const context::Key<std::string> user{"user"};

static TestServer::Handler middleware(context::duration limit, TestServer::Handler handler) {
    return [=](const Context& ctx, const Request& request, Response& response) {
        const Context named = context::with_value(ctx, user, request.get_header_value("User"));
        const auto [limited, cancel] = context::with_timeout(named, limit);
        handler(limited, request, response);
    };
}

struct Answer {
    std::string result;
    std::error_code err;
};

// logic is the part that knows nothing of HTTP. Data that is "slow" takes it an hour.
static Answer logic(const Context& ctx, const std::string& data) {
    const std::error_code aborted = context::sleep_for(ctx, data == "slow" ? 1h : 0h);
    if (aborted) return {"", aborted};
    const std::string* const name = ctx.value(user);
    return {(name ? *name : "somebody") + " said " + data, {}};
}

static void handle(const Context& ctx, const Request& request, Response& response) {
    const auto answer = [&response](int status, const std::string& text) {
        response.status = status;
        response.set_content(text, "text/plain");
    };
    if (!request.has_param("data")) return answer(500, "the form has no data");

    const auto [result, err] = logic(ctx, request.get_param_value("data"));
    if (err) return answer(500, err.message());
    answer(200, result);
}

int main() {
    const TestServer server(context::background(), middleware(1s, handle));
    for (const std::string form : {"data=hello", "date=hello", "data=slow"}) {
        httplib::Client client(server.url());
        client.set_read_timeout(2h);  // the server limits the time
        const auto result =
            client.Post("/", {{"User", "gopher"}}, form, "application/x-www-form-urlencoded");
        if (!result) throw std::runtime_error(httplib::to_string(result.error()));
        std::cout << form << " -> " << result->status << ' ' << result->body << std::endl;
    }
}
