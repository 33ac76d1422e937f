#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "client.hpp"
#include "flag/duration.hpp"
#include "servers.hpp"

using namespace std::chrono_literals;

static constexpr auto version = "context_cancel 0.1.0 (cpp-httplib " CPPHTTPLIB_VERSION ")";
static constexpr auto usage =
    "context_cancel [--slow-delay DURATION] [--timeout DURATION] true|false";

// fail reports on one line of stderr, whatever the message quotes.
static int fail(std::string message, int exit_code) {
    std::ranges::replace_if(message, [](unsigned char c) { return c < ' ' || c == 127; }, '?');
    std::cerr << "context_cancel: " << message << std::endl;
    return exit_code;
}

int main(int argc, char** argv) {
    std::string error_value;
    context::duration slow_delay = 2s;
    context::duration timeout = context::duration::max();  // never

    CLI::App app("Calls a slow and a fast server; an error of the fast one cancels the slow call.",
                 "context_cancel");
    app.add_option("ERROR", error_value, "whether the fast server is to answer \"error\"")
        ->required()
        ->type_name("true|false");
    add_duration(app, "--slow-delay", slow_delay, "how long the slow server takes [2s]");
    add_duration(app, "--timeout", timeout, "end both calls after this time [never]");
    app.set_version_flag("--version", version);
    try {
        app.parse(argc, argv);
        if (error_value != "true" && error_value != "false") {
            throw CLI::ValidationError("ERROR", '"' + error_value + "\" is not true or false");
        }
    } catch (const CLI::Success& asked_for_help_or_version) {
        return app.exit(asked_for_help_or_version);
    } catch (const CLI::ParseError& error) {
        return fail(std::string(error.what()) + "; usage: " + usage, 2);
    }

    std::signal(SIGPIPE, SIG_IGN);
    try {
        const TestServer slow = slow_server(slow_delay);
        const TestServer fast = fast_server();
        const auto [ctx, cancel] = context::with_timeout(context::background(), timeout);
        call_both(ctx, error_value, slow.url(), fast.url());
    } catch (const std::exception& error) {
        return fail(error.what(), 1);
    }
    // std::osyncstream writes past the state of std::cout, but not past that of stdout.
    return std::ferror(stdout) ? fail("cannot write to standard output", 1) : 0;
}
