// Aborts what another thread does on a TCP socket: a connect, a read or a write.
#ifndef NET_SOCKET_STOP_HPP
#define NET_SOCKET_STOP_HPP

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>

// SocketStop lets one thread abort what another does on a TCP socket. stop() resets the connection:
// a call that is under way returns, and a later one fails. A read may also get the end of the
// stream, which can look like success. The peer learns of the reset at once, or when both the owner
// and SocketStop have closed the socket. stop() blocks for no longer than its system calls take.
//
// It is for sockets that connect without being bound first, as those of clients do. Any other
// socket that is stopped before it begins to connect can still connect.
//
// It stops its own duplicate of the descriptor. The owner of the original may close that at any
// time, and its number may then be reused for another file.
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

    // stop aborts what is done on the socket, and on each one that is watched later. Any thread may
    // call it.
    void stop() {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        if (duplicate_ >= 0) shut_down(duplicate_);
    }

    // error is set if a socket could not be watched; that one, and each one after it, is stopped.
    // Ask it on the thread of the request.
    std::error_code error() const { return error_; }

private:
    // The reading side first: so a blocked reader wakes up while this thread resets the connection.
    //
    // A socket that has not begun to connect cannot be shut down (ENOTCONN), and could still
    // connect later. A socket that listens can no longer connect. So this one listens until it is
    // closed, on loopback, so that no other host can reach it.
    static void shut_down(int socket) {
        if (::shutdown(socket, SHUT_RD) == 0) {
            reset(socket);
        } else if (errno == ENOTCONN) {
            if (bind_to_loopback(socket) && ::listen(socket, 0) == 0) return;
            // It has begun to connect meanwhile; or it is dead or cannot be bound, and this fails.
            if (::shutdown(socket, SHUT_RDWR) == 0) reset(socket);
        }
    }

    // A connect to no address resets the connection (connect(2), AF_UNSPEC). A plain shutdown is
    // not enough: a peer that waits for room to send would hear nothing. Once the reading side is
    // shut down, Linux announces no more room to it and, in the minute of TIME_WAIT, answers none
    // of its probes.
    //
    // Linux 6.4 and 6.5 may refuse that (EBUSY) while a call waits on the socket. Then the close
    // resets the connection: SO_LINGER with a time of 0, socket(7).
    static void reset(int socket) {
        constexpr sockaddr no_address{.sa_family = AF_UNSPEC, .sa_data = {}};
        if (::connect(socket, &no_address, sizeof no_address) == 0) return;
        constexpr linger at_close{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_close, sizeof at_close);
        ::shutdown(socket, SHUT_WR);
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
