// A client's connection, as the threads of a server use it. No wait on it outlasts the server.
#ifndef NET_CONNECTION_HPP
#define NET_CONNECTION_HPP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

// Descriptor owns a file descriptor. Its number is negative if there is none.
class Descriptor {
public:
    explicit Descriptor(int number = -1) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int number() const { return number_; }

private:
    int number_;
};

// Connection accepts a client and owns its socket. One thread uses it at a time, and no other
// thread closes or shuts down the socket: `closing`, a descriptor that can be read once the server
// closes, ends the waits, and must outlive the connection.
class Connection {
public:
    // Takes a client from `listener`, which does not block. number() is negative if there was none.
    Connection(int listener, int closing)
        : socket_(::accept4(listener, reinterpret_cast<sockaddr*>(&client_), &client_size_,
                            SOCK_CLOEXEC | SOCK_NONBLOCK)),
          closing_(closing) {}

    // The end of the stream reaches the client even if a fork() has copied the descriptor.
    ~Connection() {
        if (!resets_) ::shutdown(number(), SHUT_RDWR);
    }

    int number() const { return socket_.number(); }

    // address returns the client's address; `port` becomes its port.
    std::string address(int& port) const {
        std::array<char, INET_ADDRSTRLEN> text{};
        port = ntohs(client_.sin_port);
        return ::inet_ntop(AF_INET, &client_.sin_addr, text.data(), text.size());
    }

    // read_head reads what has come of a request, up to the end of its headers, without waiting;
    // read() then returns it. `complete`: the headers have ended, or are longer than a server
    // takes. `gone`: the client closed its side, or reset, first.
    enum class Head { incomplete, complete, gone };
    Head read_head() {
        constexpr std::size_t longest = 65536;
        while (received_.size() < longest) {
            const std::size_t before = received_.size();
            const ssize_t n = receive(before);
            if (n < 0 && errno == EAGAIN) return Head::incomplete;
            if (n <= 0) return Head::gone;
            if (received_.find("\n\r\n", before < 2 ? 0 : before - 2) != std::string::npos) break;
        }
        return Head::complete;
    }

    // read waits for at least one byte. It returns 0 at the end of the stream, and -1 if the
    // connection is broken or the server closes.
    ssize_t read(char* data, std::size_t size) {
        if (taken_ == received_.size()) {
            taken_ = 0;
            received_.clear();
            ssize_t n = -1;
            do {
                if (!wait_for(POLLIN)) return -1;
                n = receive(0);
            } while (n < 0 && errno == EAGAIN);
            if (n <= 0) return n;
        }
        const std::size_t n = received_.copy(data, size, taken_);
        taken_ += n;
        return static_cast<ssize_t>(n);
    }

    // write sends at least one byte. It returns -1 if the connection is broken. Once the server
    // closes, it sends only what the system takes without waiting, and no more of a stream.
    ssize_t write(const char* data, std::size_t size) {
        if (streams_ && !can_write()) return -1;
        ssize_t n = -1;
        do {
            n = ::send(number(), data, size, MSG_NOSIGNAL);
        } while (n < 0 && errno == EAGAIN && wait_for(POLLOUT));
        return n;
    }

    // begin_stream says that what is written from now on may never end by itself.
    void begin_stream() { streams_ = true; }

    // can_write returns whether the connection is whole and its server open. It does not wait. A
    // client that has closed only its own side can still be written to.
    bool can_write() const {
        std::array<pollfd, 2> either{{{number(), 0, 0}, {closing_, POLLIN, 0}}};
        return ::poll(either.data(), either.size(), 0) == 0;
    }

    // reset_on_close makes the destructor reset the connection: a client whose answer has no
    // declared length would take its end for the end of the answer.
    void reset_on_close() {
        constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(number(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        resets_ = true;
    }

private:
    // receive appends to the first `kept` bytes that were received.
    ssize_t receive(std::size_t kept) {
        constexpr std::size_t most = 4096;
        received_.resize(kept + most);
        const ssize_t n = ::recv(number(), received_.data() + kept, most, 0);
        received_.resize(kept + (n > 0 ? static_cast<std::size_t>(n) : 0));
        return n;
    }

    // wait_for returns false if the server closes.
    bool wait_for(short events) const {
        std::array<pollfd, 2> either{{{number(), events, 0}, {closing_, POLLIN, 0}}};
        while (::poll(either.data(), either.size(), -1) < 0) continue;  // EINTR
        return either[1].revents == 0;
    }

    sockaddr_in client_{};
    socklen_t client_size_ = sizeof client_;
    const Descriptor socket_;
    const int closing_;
    std::string received_;  // not read yet from `taken_` on
    std::size_t taken_ = 0;
    bool streams_ = false;
    bool resets_ = false;
};

#endif  // NET_CONNECTION_HPP
