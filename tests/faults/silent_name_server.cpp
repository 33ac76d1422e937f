// A name server that never answers, in a network and a file system of its own. A request with a
// timeout returns with it, and one to an address does not notice the lookups that are under way.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

void check(bool ok, const std::string& what) {
    if (ok) return;
    std::printf("failed: %s\n", what.c_str());
    std::fflush(stdout);
    std::_Exit(1);
}

[[noreturn]] void skip(const char* what) {
    std::printf("skipped: this test needs root, to make a network of its own: %s: %s\n", what,
                std::strerror(errno));
    std::exit(0);
}

// replace puts `text` in the place of a file, for this process alone.
void replace(const char* file, const std::string& text) {
    std::string name = "/tmp/silent_name_server.XXXXXX";
    const Socket temporary(::mkstemp(name.data()));
    std::ofstream(name) << text;
    const bool mounted = ::mount(name.c_str(), file, nullptr, MS_BIND, nullptr) == 0;
    ::unlink(name.c_str());
    if (!mounted) skip(file);
}

// A network that is only a loopback, in which the names of all hosts are asked at 127.0.0.1.
void enter_network_of_its_own() {
    const int user = ::geteuid() == 0 ? 0 : CLONE_NEWUSER;  // where the system lets users do this
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS | user) != 0) skip("unshare");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) skip("mount");
    replace("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    replace("/etc/nsswitch.conf", "hosts: dns\n");
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    const Socket any(::socket(AF_INET, SOCK_DGRAM, 0));
    if (::ioctl(any.fd(), SIOCSIFFLAGS, &loopback) != 0) skip("loopback");
}

// Without this socket the system would answer that nobody is there.
Socket name_server() {
    Socket socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(53);
    check(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
          "the name server's port");
    return socket;
}

void time_out(const std::string& url) {
    const auto start = steady_clock::now();
    const auto [ctx, cancel] = context::with_timeout(context::background(), 300ms);
    const HttpResult result = http_get(ctx, url);
    const auto took = steady_clock::now() - start;
    check(result.error && result.error->reason == "context deadline exceeded", "the reason");
    check(took >= 300ms, "no timeout is early");
    check(took < 5s, "the name server's 10 seconds are not waited for");
}

}  // namespace

int main() {
    enter_network_of_its_own();
    std::signal(SIGPIPE, SIG_IGN);
    const Socket asked = name_server();
    time_out("http://host.test/");
    char question = 0;
    check(::recv(asked.fd(), &question, 1, MSG_DONTWAIT) == 1, "the name server is asked");

    // All 64 threads ask, and more calls wait for one of them.
    std::vector<std::future<void>> requests;
    for (int i = 0; i < 70; ++i) {
        requests.push_back(std::async(std::launch::async, time_out, "http://host.test/"));
    }
    for (auto& request : requests) request.get();

    const TestServer server(context::background(), [](const auto&, const auto&, auto& response) {
        response.set_content("ok", "text/plain");
    });
    const auto start = steady_clock::now();
    const auto [response, error] = http_get(context::background(), server.url());
    check(response.body == "ok", error ? error->reason : "the body");
    check(steady_clock::now() - start < 2s, "a request to an address waits for no lookup");
    std::puts("ok");
}
