// Where a stop meets a socket.
#ifndef NET_SOCKET_STOP_HPP
#define NET_SOCKET_STOP_HPP

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>

// SocketStop lets one thread end what another does on a socket, by shutting it down: a connect or a
// read that is under way ends, and nothing is sent or received after it, even where a connect that
// begins later succeeds. It takes no longer than the system call.
//
// It shuts down a duplicate of the descriptor, which only it can close: the owner may close the
// original at any time, and its number may then be that of another file.
//
// cpp-httplib's own Client::stop() cannot serve: before the socket is there it has no effect, and
// while the socket connects it blocks its caller.
class SocketStop {
public:
    SocketStop() = default;
    SocketStop(const SocketStop&) = delete;
    SocketStop& operator=(const SocketStop&) = delete;
    ~SocketStop() { release(); }

    // watch takes the next socket of the request, which has not begun to connect. It replaces the
    // one before, which has failed.
    void watch(int socket) {
        const std::lock_guard lock(mutex_);
        release();
        duplicate_ = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
        if (duplicate_ < 0) error_ = {errno, std::generic_category()};
        if (stopped_ || error_) ::shutdown(socket, SHUT_RDWR);
    }

    // stop shuts down the socket, and each one that is watched later.
    void stop() {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        if (duplicate_ >= 0) ::shutdown(duplicate_, SHUT_RDWR);
    }

    // error is set if a socket could not be watched; that one was shut down.
    std::error_code error() const { return error_; }

private:
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
