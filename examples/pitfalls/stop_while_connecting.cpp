// stop_while_connecting: httplib::Client::stop() is meant to end a request from another thread.
// While the request connects, stop() blocks its caller instead: Get() holds the mutex of the socket
// until the connect has ended, and stop() waits for it. The default connection timeout is 300 s.
//
// net/socket_stop.hpp is given each socket before it connects, by set_socket_options, and shuts
// down a duplicate of it, which takes no lock of the library: the connect ends, and nobody waits.
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <latch>
#include <system_error>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

static int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

// full_listener returns the port of a listener on loopback that accepts nobody and whose backlog is
// full: the system drops whatever asks to connect. Its sockets stay open until the process ends.
static int full_listener() {
    const int listener = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    const int waiting = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    checked(::bind(listener, any, size), "bind");
    checked(::listen(listener, 0), "listen");  // a backlog of 0 has room for one
    checked(::getsockname(listener, any, &size), "getsockname");
    checked(::connect(waiting, any, size), "connect");
    pollfd to_accept{listener, POLLIN, 0};
    checked(::poll(&to_accept, 1, -1), "poll");  // until that one is in the backlog
    return ntohs(address.sin_port);
}

int main(int argc, char** argv) {
    std::chrono::nanoseconds timeout = 1s;
    CLI::App app("A stop that waits for a connect.", "stop_while_connecting");
    add_duration(app, "--timeout", timeout, "how long the client tries to connect [1s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    httplib::Client client("127.0.0.1", full_listener());
    client.set_connection_timeout(timeout);
    std::latch has_socket(1), may_connect(1);
    client.set_socket_options([&](int) {
        has_socket.count_down();
        may_connect.wait();
    });
    std::jthread getter([&client] { (void)client.Get("/"); });

    has_socket.wait();
    std::cout << "Get() is about to connect; calling stop()" << std::endl;
    const auto start = steady_clock::now();
    may_connect.count_down();
    client.stop();
    const auto held = (steady_clock::now() - start) / 1ms;
    if (held < timeout / 1ms) std::cout << "this version of cpp-httplib does not show it: ";
    std::cout << "stop() held up its caller for " << held << " ms" << std::endl;
}
