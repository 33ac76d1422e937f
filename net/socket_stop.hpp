// Ends what another thread does on a socket.
#ifndef NET_SOCKET_STOP_HPP
#define NET_SOCKET_STOP_HPP

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>

// SocketStop lets one thread end what another does on a socket, by shutting it down: a connect, a
// read or a write that is under way ends. A connect or a write that begins later fails; a read gets
// what has arrived, then the end of the stream, which can look like success. stop() blocks for no
// longer than the system calls take.
//
// Once both its owner and SocketStop have closed it, a socket that was stopped resets its
// connection, so that the peer learns at once that nobody listens any more.
//
// It shuts down its own duplicate of the descriptor. The owner of the original may close that at
// any time, and its number may then be reused for another file.
//
// cpp-httplib's own Client::stop() cannot serve: before the socket is there it has no effect, and
// while the socket connects it blocks its caller. See examples/pitfalls/stop_before_get.cpp and
// stop_while_connecting.cpp.
class SocketStop {
public:
    SocketStop() = default;
    SocketStop(const SocketStop&) = delete;
    SocketStop& operator=(const SocketStop&) = delete;
    ~SocketStop() { release(); }

    // watch is called for each address that is tried, before the socket connects, on the thread of
    // the request. The socket before, if there was one, has failed to connect.
    void watch(int socket) {
        const std::lock_guard lock(mutex_);
        release();
        duplicate_ = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
        if (duplicate_ < 0) error_ = {errno, std::generic_category()};
        if (stopped_ || error_) shut_down(socket);
    }

    // stop shuts down the socket, and each one that is watched later. Any thread may call it.
    void stop() {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        if (duplicate_ >= 0) shut_down(duplicate_);
    }

    // error is set if a socket could not be watched; that one, and each one after it, is shut down.
    // Ask it on the thread of the request.
    std::error_code error() const { return error_; }

private:
    // The reading side first: that wakes a blocked reader before the kernel sends the end of the
    // stream to the peer.
    //
    // Linux does not shut a socket down that has not begun to connect (ENOTCONN), and it could
    // still connect later. A socket that listens cannot: so it is bound to loopback and listens
    // there, until it is closed.
    //
    // A close that resets is an option of the socket, SO_LINGER with a time of 0 (socket(7)). After
    // an ordinary close a peer that waits for room to send hears nothing: Linux does not tell it of
    // new room once the reading side is shut down, and answers none of its questions during the
    // minute of TIME_WAIT.
    static void shut_down(int socket) {
        constexpr linger reset{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        if (::shutdown(socket, SHUT_RD) == 0) {
            ::shutdown(socket, SHUT_WR);
            return;
        }
        if (errno != ENOTCONN) return;
        if (bind_to_loopback(socket) && ::listen(socket, 0) == 0) return;
        ::shutdown(socket, SHUT_RDWR);  // it has begun to connect meanwhile
    }

    static bool bind_to_loopback(int socket) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_addr = in6addr_loopback;
        return ::bind(socket, reinterpret_cast<const sockaddr*>(&v4), sizeof v4) == 0 ||
               ::bind(socket, reinterpret_cast<const sockaddr*>(&v6), sizeof v6) == 0;
    }

    void release() {
        if (duplicate_ >= 0) ::close(duplicate_);
        duplicate_ = -1;
    }

    std::mutex mutex_;
    int duplicate_ = -1;
    bool stopped_ = false;
    std::error_code error_;
};

#endif  // NET_SOCKET_STOP_HPP
