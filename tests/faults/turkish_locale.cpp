// Under a locale in which `I` is not the capital of `i`, as in Turkish, http_get and TestServer
// still find a header in whatever case it comes. Handlers run under that locale.
#include <array>
#include <cctype>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

namespace fs = std::filesystem;

namespace {

void check(bool ok, const char* what) {
    if (ok) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

// set_locale makes a locale of ASCII that lacks the one pair of letters, and sets it. localedef is
// part of libc; most machines have no Turkish locale.
void set_locale() {
    std::string folder = fs::temp_directory_path() / "localeXXXXXX";
    check(::mkdtemp(folder.data()) != nullptr, "mkdtemp");
    {
        std::ofstream charmap(folder + "/charmap");
        charmap << "<code_set_name> ASCII\n<escape_char> /\nCHARMAP\n";
        std::ofstream letters(folder + "/letters");
        letters << "LC_CTYPE\ntolower (<U0041>,<U0061>)";
        std::array<char, 40> line{};
        for (unsigned c = 0; c < 128; ++c) {
            std::snprintf(line.data(), line.size(), "<U%04X> /x%02x x\n", c, c);
            charmap << line.data();
            if (c <= 'A' || c > 'Z' || c == 'I') continue;
            std::snprintf(line.data(), line.size(), ";(<U%04X>,<U%04X>)", c, c + 32);
            letters << line.data();
        }
        charmap << "END CHARMAP\n";
        letters << "\nEND LC_CTYPE\n";
    }
    const std::string make = "cd " + folder +
                             " && PATH=$PATH:/usr/bin:/usr/sbin"
                             " localedef -c -f ./charmap -i ./letters ./dotless 2>/dev/null";
    (void)!std::system(make.c_str());  // it complains that this is not a whole locale
    ::setenv("LOCPATH", folder.c_str(), 1);
    const char* const name = std::setlocale(LC_ALL, "dotless");
    fs::remove_all(folder);
    check(name != nullptr, "localedef made a locale");
    check(std::tolower('I') != 'i' && std::tolower('T') == 't', "only I and i differ");
}

bool is_as_set() { return std::tolower('I') != 'i'; }

void answer_in_capitals() {
    const ScriptedServer server([](Socket& client) {
        client.send(
            "HTTP/1.1 302 Found\r\nTRANSFER-ENCODING: CHUNKED\r\nLOCATION: /\r\n\r\n"
            "2\r\nok\r\n0\r\n\r\n");
    });
    const auto [response, error] = http_get(context::background(), server.url());
    check(!error, error ? error->reason.c_str() : "");
    check(response.body == "ok", "chunks are found");
    check(response.headers.count("Location") == 1, "a header is found");
    check(is_as_set(), "the locale is as before");
}

void request_in_capitals() {
    const TestServer server(context::background(), [](const context::Context&,
                                                      const httplib::Request& request,
                                                      httplib::Response& response) {
        response.set_content(request.body + (is_as_set() ? "" : ": another locale"), "text/plain");
    });
    const int port = std::stoi(server.url().substr(server.url().rfind(':') + 1));
    const Socket client = connect_to(port);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    const std::string answer = client.read_until("ever");
    check(answer.ends_with("\r\n\r\nok"), answer.c_str());
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    set_locale();
    answer_in_capitals();
    request_in_capitals();
    std::puts("ok");
}
