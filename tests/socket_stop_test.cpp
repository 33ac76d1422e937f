#include "net/socket_stop.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/http_get.hpp"
#include "tests/loopback.hpp"

namespace {

// Loopback listens at the loopback address of a family.
struct Loopback {
    explicit Loopback(int family) : listener(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        auto* const v4 = reinterpret_cast<sockaddr_in*>(&address);
        auto* const v6 = reinterpret_cast<sockaddr_in6*>(&address);
        address.ss_family = static_cast<sa_family_t>(family);
        if (family == AF_INET) v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (family == AF_INET6) v6->sin6_addr = in6addr_loopback;
        usable = ::bind(listener.fd(), any(), size) == 0 && ::listen(listener.fd(), 16) == 0 &&
                 ::getsockname(listener.fd(), any(), &size) == 0;
    }
    sockaddr* any() { return reinterpret_cast<sockaddr*>(&address); }
    Socket new_socket() const {
        return Socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    }
    bool connects(const Socket& socket) { return ::connect(socket.fd(), any(), size) == 0; }
    Socket accept() const { return Socket(::accept(listener.fd(), nullptr, nullptr)); }

    Socket listener;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    bool usable = false;
};

// with_each_family calls f with a Loopback of IPv4, and of IPv6 if the machine has it.
template <class F>
void with_each_family(F f) {
    for (const int family : {AF_INET, AF_INET6}) {
        CAPTURE(family);
        Loopback loopback(family);
        if (loopback.usable) f(loopback);
    }
}

// last_error_of_reading reads until the connection ends; 0 is its orderly end.
int last_error_of_reading(const Socket& socket) {
    std::string bytes(100'000, '\0');
    ssize_t n = 1;
    while (n > 0) n = ::recv(socket.fd(), bytes.data(), bytes.size(), 0);
    return n < 0 ? errno : 0;
}

// ends_of_peers calls f with a stop and the connected socket that it watches, and then destroys
// both, for each family. It returns how the reading of each peer ended.
template <class F>
std::vector<int> ends_of_peers(F f) {
    std::vector<int> ends;
    with_each_family([&](Loopback& loopback) {
        std::optional<SocketStop> stop(std::in_place);
        Socket socket = loopback.new_socket();
        stop->watch(socket.fd());
        REQUIRE(loopback.connects(socket));
        const Socket peer = loopback.accept();
        f(*stop, socket);
        socket.close();
        stop.reset();
        ends.push_back(last_error_of_reading(peer));
    });
    return ends;
}

}  // namespace

TEST_CASE("a stop keeps a socket from connecting, with IPv4 and with IPv6") {
    with_each_family([](Loopback& loopback) {
        SocketStop stop;
        const Socket socket = loopback.new_socket();
        stop.watch(socket.fd());
        stop.stop();
        CHECK_FALSE(loopback.connects(socket));
        CHECK(last_error_of_reading(socket) != 0);
    });
}

TEST_CASE("a stop ends a read that waits, and the peer learns of it") {
    ends_of_peers([](SocketStop& stop, const Socket& socket) {
        auto read = std::async(std::launch::async, [&] { return last_error_of_reading(socket); });
        stop.stop();
        read.get();
    });
}

TEST_CASE("a stop ends a write that waits for room, and the connection is reset") {
    const auto ends = ends_of_peers([](SocketStop& stop, const Socket& socket) {
        auto write = std::async(std::launch::async, [&] {
            const std::string bytes(100'000, 'x');
            while (::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) continue;
        });
        REQUIRE(wait_for([&] { return asks_for_room(socket); }));
        stop.stop();
        write.get();
    });
    for (const int end : ends) CHECK(end == ECONNRESET);
}

TEST_CASE("cancelling aborts a request that is being sent to a server which does not read it") {
    const Listener listener;
    auto [ctx, cancel] = context::with_cancel(context::background());
    auto result = std::async(std::launch::async, [&, &shared = ctx] {
        return http_get(shared, listener.url(),
                        {.headers = {{"X-Long", std::string(32'000'000, 'x')}}});
    });
    const Socket server = listener.accept();
    server.read_until("X-Long");
    cancel();
    CHECK(result.get().error->reason == "context canceled");
    CHECK(last_error_of_reading(server) == ECONNRESET);
}
