// stoppable_read: a read that a context aborts, from a pipe, a terminal or anything else that
// poll() can wait for. A socket can be shut down; a pipe cannot. So the read waits for two things
// at once: for input, and for a bell that a callback on the context rings.
//
// A wake-up must be remembered, because the callback may run just before the call blocks. An
// eventfd stays readable once it is written to. A signal, or a bare notify_one(), would be lost.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <latch>
#include <string>
#include <system_error>
#include <thread>

#include "context.hpp"

using context::Context;

static int checked(ssize_t result) {
    if (result < 0) throw std::system_error(errno, std::generic_category());
    return static_cast<int>(result);
}

// Bell is rung once and can be heard from then on. Any thread may ring it.
class Bell {
public:
    Bell() : fd_(checked(::eventfd(0, EFD_CLOEXEC))) {}
    Bell(const Bell&) = delete;
    Bell& operator=(const Bell&) = delete;
    ~Bell() { ::close(fd_); }
    void ring() const noexcept { ::eventfd_write(fd_, 1); }
    int fd() const { return fd_; }

private:
    const int fd_;
};

struct Input {
    std::string text;  // empty at the end of the input
    std::error_code err;
};

// read_some waits for input and reads some of it. It returns ctx.err() as soon as ctx is done.
// If another thread reads from `fd`, too, read_some may block regardless.
static Input read_some(const Context& ctx, int fd) {
    const Bell bell;  // outlives the callback
    const std::stop_callback on_done(ctx.done(), [&bell] { bell.ring(); });
    std::array<pollfd, 2> either{{{fd, POLLIN, 0}, {bell.fd(), POLLIN, 0}}};
    while (::poll(either.data(), either.size(), -1) < 0) {
        if (errno != EINTR) return {"", {errno, std::generic_category()}};
    }
    if (const std::error_code err = ctx.err()) return {"", err};  // the context first
    std::array<char, 4096> buffer;
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0) return {"", {errno, std::generic_category()}};
    return {std::string(buffer.data(), static_cast<std::size_t>(size)), {}};
}

int main() {
    std::array<int, 2> ends{};
    checked(::pipe(ends.data()));
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::latch has_read(1);
    std::jthread reader([&ctx, &ends, &has_read] {
        std::cout << "read: " << read_some(ctx, ends[0]).text << std::endl;
        has_read.count_down();
        std::cout << "aborted: " << read_some(ctx, ends[0]).err.message() << std::endl;
    });
    checked(::write(ends[1], "hello", 5));
    has_read.wait();
    cancel();  // just before the second read blocks, or while it does
}
