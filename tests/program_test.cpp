// The whole program, as a user runs it. PROGRAM in the environment is its path.

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bounded.hpp"

using namespace std::chrono_literals;

namespace {

struct Outcome {
    std::string text;  // stdout and stderr, ports replaced by PORT, and the exit code
    std::chrono::steady_clock::duration took;
};

// run gives a shell one line in which $PROGRAM is the program.
Outcome run(const std::string& line) {
    const auto before = std::chrono::steady_clock::now();
    std::FILE* const pipe = ::popen(("exec 2>&1; " + line).c_str(), "r");
    if (!pipe) throw std::runtime_error("popen");
    std::string text;
    for (int c = std::getc(pipe); c != EOF; c = std::getc(pipe)) text += static_cast<char>(c);
    const int status = ::pclose(pipe);
    text += WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status)) : "killed";
    text = std::regex_replace(text, std::regex(R"(127\.0\.0\.1:\d+)"), "127.0.0.1:PORT");
    return {text + '\n', std::chrono::steady_clock::now() - before};
}

std::string sorted_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    std::ranges::sort(lines);
    std::string sorted;
    for (const std::string& line : lines) sorted += line + '\n';
    return sorted;
}

}  // namespace

TEST_CASE("a good command line makes both calls") {
    for (const std::string arguments :
         {"true", "-- true", "--timeout=1h true", "true --timeout 2562047h",
          "true --slow-delay .5h", "true --trace 2>/dev/null",
          "--slow-delay 0s --fast-delay 0s --timeout 1m false", "false --slow-delay 0.001s"}) {
        CAPTURE(arguments);
        const std::string text = run("exec $PROGRAM " + arguments).text;
        CAPTURE(text);
        CHECK(text.ends_with("\ndone with both\nexit 0\n"));
    }
}

TEST_CASE("a bad command line is refused: standard error says why, and nothing starts") {
    struct Bad {
        std::string arguments, named;
    };
    for (const auto& [arguments, named] : std::initializer_list<Bad>{
             {"", "ERROR"},
             {"maybe", "maybe"},
             {"TRUE", "TRUE"},
             {"''", "ERROR"},
             {"'true\nfalse'", "ERROR"},
             {"true false", "false"},
             {"--bogus true", "--bogus"},
             {"-x true", "-x"},
             {"--timeou=1s true", "--timeou"},
             {"--trace=maybe true", "--trace"},
             {"true --timeout", "--timeout"},
             {"true --timeout ''", "--timeout"},
             {"true --timeout soon", "--timeout"},
             {"true --timeout 5", "--timeout"},
             {"true --timeout 5sec", "--timeout"},
             {"true --timeout 5S", "--timeout"},
             {"true --timeout 1.2.3s", "--timeout"},
             {"true --timeout 1h30m", "--timeout"},
             {"true --timeout -5s", "--timeout"},
             {"true --timeout=-5s", "--timeout"},
             {"true --timeout=-0.1ns", "--timeout"},
             {"true --timeout inf", "--timeout"},
             {"true --timeout 'inf s'", "--timeout"},
             {"true --timeout nan", "--timeout"},
             {"true --timeout 'nan s'", "--timeout"},
             {"true --timeout 1e999s", "--timeout"},
             {"true --timeout 2600000h", "--timeout"},
             {"true --timeout 10000000000000000000ns", "--timeout"},
             {"true --slow-delay x", "--slow-delay"},
             {"true --slow-delay=-1s", "--slow-delay"},
             {"true --slow-delay 1s --slow-delay 2s", "--slow-delay"},
             {"true --fast-delay x", "--fast-delay"},
             {"true --fast-delay=-1s", "--fast-delay"},
         }) {
        CAPTURE(arguments);
        const std::string command = "(ulimit -n 4; exec $PROGRAM " + arguments + ")";
        const std::string said = run(command + " 2>&1 >/dev/null").text;
        CAPTURE(said);
        CHECK(said.find(named) != std::string::npos);
        CHECK(said.find("cannot listen") == std::string::npos);  // which a server would say
        CHECK_FALSE(said.ends_with("\nexit 0\n"));
        CHECK(run(command + " 2>/dev/null").text.starts_with("exit "));
    }
}

TEST_CASE("a duration is a number with a unit") {
    for (const std::string duration :
         {"100ms", "0.1s", ".1s", "0.002m", "0.00003h", "100000us", "100000000ns", "1e2ms"}) {
        CAPTURE(duration);
        const Outcome outcome = run("exec $PROGRAM false --slow-delay 1h --timeout " + duration);
        CHECK(outcome.text.find("context deadline exceeded") != std::string::npos);
        CHECK(outcome.took >= 100ms);
        CHECK(outcome.took < 60s);
    }
}

TEST_CASE("without an error both servers answer, after the slow delay") {
    const Outcome outcome = run("exec $PROGRAM false");
    CHECK(outcome.text == "fast result: ok\nslow result: Slow response\ndone with both\nexit 0\n");
    CHECK(outcome.took >= 2s);
}

TEST_CASE("the fast server has a delay of its own") {
    const Outcome outcome = run("exec $PROGRAM false --slow-delay 0s --fast-delay 100ms");
    CHECK(outcome.took >= 100ms);
}

TEST_CASE("--trace changes nothing on standard output") {
    const std::string command = "$PROGRAM true --slow-delay 1h";
    CHECK(run(command + " --trace 2>/dev/null").text == run(command).text);
}

TEST_CASE("--trace draws the run on standard error, in 80 columns, and without colour") {
    const std::string text =
        run("2>&1 >/dev/null $PROGRAM true --trace --slow-delay 1h --fast-delay 1s").text;
    CAPTURE(text);
    const std::regex drawn(
        R"( +ms  fast server[^]* starts -+> listening\n[^]* received <--- sent [^]*)"
        R"( cancels -+> stopped [^]* returns[^]* closed\n)"
        R"(cancel 0\.00 -> stopped \d+\.\d\d( -> (aborted|server told) \d+\.\d\d){2} ms\n)"
        R"(exit 0\n)");
    CHECK(std::regex_match(text, drawn));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 80);
    CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("--trace has colour on a terminal, unless NO_COLOR is set") {
    const std::string on_a_terminal = R"(script -qec "$PROGRAM true --trace" /dev/null)";
    CHECK(run("unset NO_COLOR; " + on_a_terminal).text.find("\x1b[31m") != std::string::npos);
    CHECK(run("export NO_COLOR=1; " + on_a_terminal).text.find('\x1b') == std::string::npos);
}

TEST_CASE("an error cancels the slow call, and the program ends long before the slow delay") {
    const Outcome outcome = run("exec $PROGRAM true --slow-delay 1h");
    CHECK(outcome.text ==
          "fast result: error\n"
          "cancelling from fast\n"
          "slow response err: Get \"http://127.0.0.1:PORT\": context canceled\n"
          "done with both\n"
          "exit 0\n");
    CHECK(outcome.took < 60s);
}

TEST_CASE("a timeout aborts the slow call with its own reason") {
    const Outcome outcome = run("exec $PROGRAM false --slow-delay 1h --timeout 500ms");
    CHECK(outcome.text.find("slow response err: Get \"http://127.0.0.1:PORT\": "
                            "context deadline exceeded\n") != std::string::npos);
    CHECK(outcome.text.ends_with("\ndone with both\nexit 0\n"));
    CHECK(outcome.took >= 500ms);
    CHECK(outcome.took < 60s);
}

TEST_CASE("a timeout of zero has expired before the calls") {
    CHECK(sorted_lines(run("exec $PROGRAM true --timeout 0s").text) ==
          "done with both\n"
          "exit 0\n"
          "fast response err: Get \"http://127.0.0.1:PORT?error=true\": context deadline exceeded\n"
          "slow response err: Get \"http://127.0.0.1:PORT\": context deadline exceeded\n");
}

TEST_CASE("a server that cannot be started is reported in one line") {
    CHECK(run("ulimit -n 4; exec $PROGRAM true").text ==
          "context_cancel: cannot listen on 127.0.0.1: Too many open files\nexit 1\n");
}

TEST_CASE("a thread that cannot be started is reported in one line") {
    if (slowdown > 1) return;  // the sanitizers cannot start under such a limit
    // No thread can have a stack of a petabyte.
    CHECK(run("ulimit -s 1099511627776 && exec $PROGRAM true").text ==
          "context_cancel: cannot start a thread: Resource temporarily unavailable\nexit 1\n");
}

TEST_CASE("a standard output that takes nothing is reported") {
    for (const std::string arguments : {"true", "--help", "--version"}) {
        CAPTURE(arguments);
        CHECK(run("exec $PROGRAM >/dev/full " + arguments).text ==
              "context_cancel: cannot write to standard output\nexit 1\n");
    }
}

TEST_CASE("a reader that leaves after a line ends the program with a message, not by a signal") {
    const std::string text =
        run("{ $PROGRAM true; echo \"program: $?\" >&2; } | head -n 1 >/dev/null").text;
    const bool in_time = text == "program: 0\nexit 0\n";
    const bool too_late =
        text == "context_cancel: cannot write to standard output\nprogram: 1\nexit 0\n";
    CAPTURE(text);
    CHECK((in_time || too_late));
}

TEST_CASE("--help names each option, on standard output") {
    const std::string text = run("exec $PROGRAM --help 2>/dev/null").text;
    for (const std::string name : {"ERROR", "--slow-delay", "--fast-delay", "--timeout", "--trace",
                                   "--version", "DURATION", "exit 0\n"}) {
        CAPTURE(name);
        CHECK(text.find(name) != std::string::npos);
    }
}

TEST_CASE("--version names the version of the library too") {
    const std::regex version(
        R"(context_cancel \d+\.\d+\.\d+ \(cpp-httplib \d+\.\d+\.\d+\)\nexit 0\n)");
    CHECK(std::regex_match(run("exec $PROGRAM --version").text, version));
}
