// An HTTP server on loopback that takes every request and never answers: it holds a connection
// until the client closes it. It prints its URL, and runs until its standard input ends.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>

int main() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);

    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (::bind(listener, any, size) < 0 || ::listen(listener, 4096) < 0 ||
        ::getsockname(listener, any, &size) < 0) {
        std::perror("holding_server");
        return 1;
    }
    std::printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
    std::fflush(stdout);

    const int events = ::epoll_create1(0);
    const auto watch = [events](int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
    };
    watch(STDIN_FILENO);
    watch(listener);
    for (;;) {
        std::array<epoll_event, 64> ready;
        const int count = ::epoll_wait(events, ready.data(), ready.size(), -1);
        for (int i = 0; i < count; ++i) {
            const int fd = ready[static_cast<std::size_t>(i)].data.fd;
            std::array<char, 4096> ignored;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener) {
                watch(::accept(listener, nullptr, nullptr));
            } else if (::recv(fd, ignored.data(), ignored.size(), 0) <= 0) {
                ::close(fd);
            }
        }
    }
}
