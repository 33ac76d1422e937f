#include "flag/command_line.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

namespace {

std::string program;

// complain prints one line, whatever the message quotes.
void complain(std::string message) {
    std::ranges::replace_if(message, [](unsigned char c) { return c < ' ' || c == 127; }, '?');
    std::cerr << program << ": " << message << std::endl;
}

void end_uncaught() {
    try {
        std::rethrow_exception(std::current_exception());
    } catch (const std::exception& error) {
        complain(error.what());
    } catch (...) {
        complain("unknown failure");
    }
    std::_Exit(1);
}

}  // namespace

std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv) {
    program = app.get_name();
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked_for_help) {
        return app.exit(asked_for_help);
    } catch (const CLI::ParseError& error) {
        complain(std::string(error.what()) + "; see --help");
        return 2;
    }
    std::set_terminate(end_uncaught);
    return std::nullopt;
}

// std::osyncstream leaves the state of std::cout alone, so stdout is asked.
int check_stdout() {
    if (!std::ferror(stdout)) return 0;
    complain("cannot write to standard output");
    return 1;
}
