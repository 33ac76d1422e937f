// Any words as the command line of context_cancel, whose servers and calls are replaced by what
// starts nothing: either both calls are made and nothing is reported, or nothing is called, and a
// mistake is reported on one line.

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "client.hpp"
#include "servers.hpp"

int context_cancel_main(int argc, char** argv);  // main.cpp is compiled with this name

namespace {

int calls = 0;

void check(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::abort();
}

}  // namespace

struct TestServer::Running {};
TestServer::TestServer(const context::Context&, Handler) {}
TestServer::~TestServer() = default;
TestServer slow_server(const context::Context&, context::duration delay) {
    check(delay >= context::duration::zero(), "a delay is not negative");
    return TestServer(context::background(), nullptr);
}
TestServer fast_server(const context::Context&) {
    return TestServer(context::background(), nullptr);
}

void call_both(const context::Context&, const std::string& error_value, const std::string&,
               const std::string&) {
    check(error_value == "true" || error_value == "false", "ERROR is true or false");
    ++calls;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    std::vector<std::string> words{"context_cancel"};
    for (std::size_t i = 0; i < size; ++i) {
        if (i == 0 || data[i] == 0) words.emplace_back();
        if (data[i] != 0) words.back() += static_cast<char>(data[i]);
    }
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    std::ostringstream out, err;
    std::streambuf* const usual_out = std::cout.rdbuf(out.rdbuf());
    std::streambuf* const usual_err = std::cerr.rdbuf(err.rdbuf());
    calls = 0;
    const int exit_code = context_cancel_main(static_cast<int>(words.size()), argv.data());
    std::cout.rdbuf(usual_out);
    std::cerr.rdbuf(usual_err);

    const std::string line = err.str();
    check(exit_code == 0 || exit_code == 2, "the exit code is 0 or 2");
    check(line.empty() == (exit_code == 0), "a mistake is reported, and nothing else is");
    check(line.find('\n') == (exit_code == 0 ? std::string::npos : line.size() - 1), "on one line");
    check(calls == (exit_code == 0 && out.str().empty() ? 1 : 0),
          "it is called, or something said");
    return 0;
}
