#include "tests/loopback.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace {

namespace fs = std::filesystem;

int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

Socket new_socket(int flags = 0) {
    return Socket(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket"));
}

// A line of /proc/net/tcp, as far as it is of interest.
struct TcpEntry {
    int remote_port;
    int state;
    unsigned received;  // bytes in the receive queue
};

int hex(const std::string& text) { return static_cast<int>(std::stoul(text, nullptr, 16)); }

std::vector<TcpEntry> tcp_table() {
    std::vector<TcpEntry> entries;
    for (const char* const path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream table(path);
        std::string line;
        std::getline(table, line);
        while (std::getline(table, line)) {
            std::istringstream fields(line);
            std::string slot, local, remote, state, queues;
            fields >> slot >> local >> remote >> state >> queues;
            entries.push_back({hex(remote.substr(remote.find(':') + 1)), hex(state),
                               static_cast<unsigned>(hex(queues.substr(queues.find(':') + 1)))});
        }
    }
    return entries;
}

int count(const char* folder) {
    const auto entries = fs::directory_iterator(folder);
    return static_cast<int>(std::distance(fs::begin(entries), fs::end(entries)));
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
    close();
    fd_ = other.release();
    return *this;
}

int Socket::release() { return std::exchange(fd_, -1); }

void Socket::close() {
    if (fd_ >= 0) ::close(release());
}

void Socket::reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
}

void Socket::send(const std::string& text) const {
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return;
        sent += static_cast<std::size_t>(n);
    }
}

// It looks at what has come before it takes it, so that nothing behind `end` is lost.
std::string Socket::read_until(const std::string& end) const {
    std::string text;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), MSG_PEEK);
        if (n <= 0) return text;
        const std::size_t before = text.size();
        text.append(buffer.data(), static_cast<std::size_t>(n));
        const std::size_t found = text.find(end, before - std::min(before, end.size()));
        if (found != std::string::npos) text.resize(found + end.size());
        ::recv(fd_, buffer.data(), text.size() - before, 0);
        if (found != std::string::npos) return text;
    }
}

bool Socket::peer_has_closed() const {
    char byte = 0;
    return ::recv(fd_, &byte, 1, 0) <= 0;
}

Listener::Listener(int backlog) : socket_(new_socket()) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    checked(::bind(socket_.fd(), any, size), "bind");
    checked(::listen(socket_.fd(), backlog), "listen");
    checked(::getsockname(socket_.fd(), any, &size), "getsockname");
    port_ = ntohs(address.sin_port);
}

Socket Listener::accept() const {
    return Socket(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
}

void Listener::shut_down() const { ::shutdown(socket_.fd(), SHUT_RDWR); }

bool Listener::has_client() const {
    pollfd waiting{socket_.fd(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
}

ScriptedServer::ScriptedServer(Script script)
    : thread_([this, script = std::move(script)] {
          Socket client = listener_.accept();
          if (client.fd() < 0) return;
          client.read_until("\r\n\r\n");
          script(client);
      }) {}

ScriptedServer::~ScriptedServer() { listener_.shut_down(); }

Socket connect_to(int port) {
    Socket socket = new_socket();
    checked(connects(socket, port) ? 0 : -1, "connect");
    return socket;
}

bool connects(const Socket& socket, int port) {
    const sockaddr_in address = loopback(port);
    return ::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

FullListener::FullListener() {
    const sockaddr_in address = loopback(port());
    const auto is_full = [this] { return has_client_socket(port(), TcpState::syn_sent); };
    while (!is_full()) {
        fillers_.push_back(new_socket(SOCK_NONBLOCK));
        ::connect(fillers_.back().fd(), reinterpret_cast<const sockaddr*>(&address),
                  sizeof address);
    }
    fillers_.pop_back();  // the one that found no room
}

bool has_client_socket(int port, TcpState state) {
    return std::ranges::any_of(tcp_table(), [&](const TcpEntry& entry) {
        return entry.remote_port == port && entry.state == static_cast<int>(state);
    });
}

bool client_has_read_all(int port) {
    return std::ranges::any_of(tcp_table(), [&](const TcpEntry& entry) {
        return entry.remote_port == port && entry.received == 0 &&
               entry.state == static_cast<int>(TcpState::established);
    });
}

bool asks_for_room(const Socket& socket) {
    tcp_info info{};
    socklen_t size = sizeof info;
    checked(::getsockopt(socket.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt");
    return info.tcpi_backoff > 0;
}

int open_descriptors() { return count("/proc/self/fd"); }
int running_threads() { return count("/proc/self/task"); }

bool wait_for(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

std::vector<ListeningSocket> listening_sockets() {
    std::vector<ListeningSocket> sockets;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
        const int fd = std::stoi(entry.path().filename());
        int listens = 0;
        socklen_t size = sizeof listens;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens) continue;
        sockaddr_in address{};
        size = sizeof address;
        checked(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
        tcp_info info{};
        size = sizeof info;
        checked(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt");
        const bool v4 = address.sin_family == AF_INET;
        // Of a socket that listens, the field of that name is the backlog.
        sockets.push_back({v4 ? ::inet_ntoa(address.sin_addr) : "IPv6", info.tcpi_sacked});
    }
    return sockets;
}
