#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "client.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"
#include "servers.hpp"
#include "trace/timeline.hpp"

using Actor = Timeline::Actor;
using namespace std::chrono_literals;

static constexpr auto version = "context_cancel 0.1.0 (cpp-httplib " CPPHTTPLIB_VERSION ")";

int main(int argc, char** argv) {
    std::string error_value;
    context::duration slow_delay = 2s;
    context::duration timeout = context::duration::max();  // never
    bool trace = false;

    CLI::App app("Calls a slow and a fast server; an error of the fast one cancels the slow call.",
                 "context_cancel");
    app.add_option("ERROR", error_value, "whether the fast server is to answer \"error\"")
        ->required()
        ->type_name("true|false");
    add_duration(app, "--slow-delay", slow_delay, "how long the slow server takes [2s]");
    add_duration(app, "--timeout", timeout, "end both calls after this time [never]");
    app.add_flag("--trace", trace, "draw what happened, on standard error");
    app.set_version_flag("--version", version);
    app.callback([&] {
        if (error_value == "true" || error_value == "false") return;
        throw CLI::ValidationError("ERROR", '"' + error_value + "\" is not true or false");
    });
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, as in Go
    Timeline timeline(trace);
    {
        const TestServer slow = slow_server(timeline.traced(Actor::slow_server), slow_delay);
        const TestServer fast = fast_server(timeline.traced(Actor::fast_server));
        const auto [ctx, cancel] = context::with_timeout(timeline.traced(Actor::main), timeout);
        call_both(ctx, error_value, slow.url(), fast.url());
    }  // closes both servers
    timeline.draw(stderr);

    return check_stdout();
}
