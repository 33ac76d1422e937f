// The whole program, as a user runs it. PROGRAM in the environment is its path.

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
namespace fs = std::filesystem;

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

TEST_CASE("each command line does what is stored beside it") {
    int files = 0;
    for (const auto& entry : fs::directory_iterator("tests/cli")) {
        CAPTURE(entry.path().string());
        std::ifstream file(entry.path());
        std::string command;
        std::getline(file, command);
        REQUIRE(command.starts_with("$ ./context_cancel"));
        std::ostringstream expected;
        expected << file.rdbuf();
        CHECK(run("exec \"$PROGRAM\"" + command.substr(18)).text == expected.str());
        ++files;
    }
    CHECK(files >= 20);
}

TEST_CASE("without an error both servers answer, after the slow delay") {
    const Outcome outcome = run("exec $PROGRAM false");
    CHECK(outcome.text == "fast result: ok\nslow result: Slow response\ndone with both\nexit 0\n");
    CHECK(outcome.took >= 2s);
}

TEST_CASE("--trace changes nothing on standard output") {
    const std::string command = "$PROGRAM true --slow-delay 1h";
    CHECK(run(command + " --trace 2>/dev/null").text == run(command).text);
}

TEST_CASE("--trace draws the run on standard error, in 80 columns, and without colour") {
    std::string text;
    for (int i = 0; i < 20 && text.find("returns") == std::string::npos; ++i) {
        text = run("2>&1 >/dev/null $PROGRAM true --trace --slow-delay 1h").text;
    }  // where the cancel comes before the slow request is sent, no handler has to give up
    std::size_t at = 0;
    for (const char* const step : {"ms  fast server", "starts -", "received <--- sent", "cancels -",
                                   "closing <", "cancels -", "returns", "closed", "exit 0"}) {
        CAPTURE(step);
        at = text.find(step, at) + 1;
        CHECK(at != 0);
    }
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

TEST_CASE("a timeout ends the slow call with its own reason") {
    const Outcome outcome = run("exec $PROGRAM false --slow-delay 1h --timeout 500ms");
    CHECK(outcome.text ==
          "fast result: ok\n"
          "slow response err: Get \"http://127.0.0.1:PORT\": context deadline exceeded\n"
          "done with both\n"
          "exit 0\n");
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

TEST_CASE("bad input starts no server") {
    CHECK(run("ulimit -n 4; exec $PROGRAM maybe").text.ends_with("see --help\nexit 2\n"));
}

TEST_CASE("a standard output that takes nothing is reported") {
    CHECK(run("exec $PROGRAM true >/dev/full").text ==
          "context_cancel: cannot write to standard output\nexit 1\n");
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

TEST_CASE("--version names the version of the library too") {
    const std::regex version(
        R"(context_cancel \d+\.\d+\.\d+ \(cpp-httplib \d+\.\d+\.\d+\)\nexit 0\n)");
    CHECK(std::regex_match(run("exec $PROGRAM --version").text, version));
}
