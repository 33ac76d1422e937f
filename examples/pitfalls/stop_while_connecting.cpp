// stop_while_connecting: httplib::Client::stop() is meant to stop a request from another thread.
// While the request connects, stop() blocks its caller instead: Get() holds a mutex until the
// connect has ended, and stop() waits for that mutex. The default connection timeout is 300 s.
//
// set_socket_options hands each socket to net/socket_stop.hpp before it connects. That shuts down a
// duplicate of the socket, for which it needs no lock of the library: the connect fails at once.
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

using namespace std::chrono_literals;
using std::chrono::steady_clock;

static int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

// full_listener returns the port of a listener on loopback that accepts nothing and whose backlog
// is full: the system drops each request to connect. Its sockets stay open until the process ends.
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

int main() {
    constexpr auto timeout = 1s;
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
    std::cout << "stop() blocked its caller for " << held << " ms" << std::endl;
}
