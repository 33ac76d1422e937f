#include "flag/command_line.hpp"

#include <doctest/doctest.h>

#include <array>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>

namespace {

struct Parsed {
    std::optional<int> exit_code;
    int value;
    std::string out, err;
};

// parse gives a program with one option one argument, and catches what it prints.
Parsed parse(std::string argument) {
    std::string name = "program";
    std::array<char*, 3> argv{name.data(), argument.data(), nullptr};
    Parsed parsed{{}, 0, {}, {}};
    CLI::App app("A program.", "program");
    app.add_option("--value", parsed.value, "a number");
    std::ostringstream out, err;
    std::streambuf* const usual_out = std::cout.rdbuf(out.rdbuf());
    std::streambuf* const usual_err = std::cerr.rdbuf(err.rdbuf());
    const std::terminate_handler usual_end = std::get_terminate();
    parsed.exit_code = parse_command_line(app, 2, argv.data());
    std::set_terminate(usual_end);
    std::cout.rdbuf(usual_out);
    std::cerr.rdbuf(usual_err);
    parsed.out = out.str();
    parsed.err = err.str();
    return parsed;
}

}  // namespace

TEST_CASE("a command line without a mistake lets the program go on") {
    const Parsed parsed = parse("--value=7");
    CHECK_FALSE(parsed.exit_code);
    CHECK(parsed.value == 7);
    CHECK(parsed.out + parsed.err == "");
}

TEST_CASE("--help goes to standard output and ends the program with 0") {
    const Parsed parsed = parse("--help");
    CHECK(parsed.exit_code == 0);
    CHECK(parsed.out.find("--value") != std::string::npos);
    CHECK(parsed.err == "");
}

TEST_CASE("a mistake ends the program with 2 and one line on standard error") {
    for (const char* const argument : {"--value=x", "--valeu=7", "7", "--value", "--no\nsuch"}) {
        CAPTURE(argument);
        const Parsed parsed = parse(argument);
        CHECK(parsed.exit_code == 2);
        CHECK(parsed.out == "");
        CHECK(parsed.err.starts_with("program: "));
        CHECK(parsed.err.find('\n') == parsed.err.size() - 1);
    }
}
