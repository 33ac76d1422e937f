#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <system_error>

#include "client.hpp"
#include "servers.hpp"
#include "trace/timeline.hpp"

using context::Context;
using namespace std::chrono_literals;

static constexpr auto version = "context_cancel 0.2.0 (cpp-httplib " CPPHTTPLIB_VERSION ")";

static void complain(const std::string& message) {
    std::cerr << "context_cancel: " << message << std::endl;
}

// end_uncaught ends the program with 1 and one line on stderr if an exception is not caught: for
// example, because no port or no thread is left. No destructor runs.
static void end_uncaught() {
    try {
        if (const auto uncaught = std::current_exception()) std::rethrow_exception(uncaught);
        complain("unknown failure");
    } catch (const std::system_error& error) {
        const bool no_thread = error.code() == std::errc::resource_unavailable_try_again;
        complain((no_thread ? "cannot start a thread: " : "") + std::string(error.what()));
    } catch (const std::exception& error) {
        complain(error.what());
    } catch (...) {
        complain("unknown failure");
    }
    std::_Exit(1);
}

// flushed returns `exit_code`, or 1 with a message if standard output could not be written. It asks
// stdout: std::osyncstream sets no error on std::cout, and output may still be unflushed.
static int flushed(int exit_code) {
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return exit_code;
    complain("cannot write to standard output");
    return 1;
}

// add_duration adds an option that takes a number and a unit, such as 500ms or 1.5s. CLI11
// rounds it to six digits.
static void add_duration(CLI::App& app, const std::string& name, context::duration& value,
                         const std::string& description) {
    const std::map<std::string, double> units{{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                              {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    const auto set = [name, &value](double nanoseconds) {
        if (!(nanoseconds >= 0 && nanoseconds < 0x1p63)) {  // so that NaN is refused, too
            throw CLI::ValidationError(name, "must be between 0s and 292 years");
        }
        value = std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds));
    };
    app.add_option_function<double>(name, set, description)
        ->transform(
            CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED).description(""))
        ->type_name("DURATION");
}

int main(int argc, char** argv) {
    std::set_terminate(end_uncaught);
    std::signal(SIGPIPE, SIG_IGN);  // a reader of stdout that leaves is reported, and not fatal
    std::string error_value;
    context::duration slow_delay = 2s;
    context::duration fast_delay = 10ms;
    context::duration timeout = context::duration::max();  // never
    bool trace = false;

    CLI::App app("Calls a slow and a fast server; an error of the fast one aborts the slow call.",
                 "context_cancel");
    app.add_option("ERROR", error_value, "whether the fast server answers \"error\"")
        ->required()
        ->check(CLI::IsMember({"true", "false"}));
    add_duration(app, "--slow-delay", slow_delay, "how long the slow server takes [2s]");
    add_duration(app, "--fast-delay", fast_delay, "how long the fast server takes [10ms]");
    add_duration(app, "--timeout", timeout, "abort both calls after this time [never]");
    app.add_flag("--trace", trace, "draw what happened, on standard error");
    app.set_version_flag("--version", version);
    app.footer("A DURATION is a number and a unit: ns, us, ms, s, m or h.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& bad_or_help) {
        return flushed(app.exit(bad_or_help));
    }

    Timeline timeline(trace);
    {
        const Context root = timeline.root();  // background(), traced if asked
        const TestServer slow = slow_server(root, slow_delay);
        const TestServer fast = fast_server(root, fast_delay);
        const auto [ctx, cancel] = context::with_timeout(root, timeout);
        call_both(ctx, error_value, slow.url(), fast.url());
    }  // closes both servers
    timeline.draw(stderr);
    return flushed(0);
}
