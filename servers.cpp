#include "servers.hpp"

using context::Context;
using httplib::Request;
using httplib::Response;

// slow_server launches a server that answers "Slow response" after `delay`. If the handler's
// context is done first, the handler returns at once, and TestServer answers 503.
TestServer slow_server(const Context& parent, context::duration delay) {
    const auto answer = [delay](const Context& ctx, const Request&, Response& response) {
        if (const auto aborted = context::sleep_for(ctx, delay)) return;
        response.set_content("Slow response", "text/plain");
    };
    return TestServer(parent, answer);
}

// fast_server launches a server that answers after `delay`, too: "error" if the query says
// error=true, otherwise "ok".
TestServer fast_server(const Context& parent, context::duration delay) {
    const auto answer = [delay](const Context& ctx, const Request& request, Response& response) {
        if (const auto aborted = context::sleep_for(ctx, delay)) return;
        if (request.get_param_value("error") == "true") {
            response.set_content("error", "text/plain");
            return;
        }
        response.set_content("ok", "text/plain");
    };
    return TestServer(parent, answer);
}
