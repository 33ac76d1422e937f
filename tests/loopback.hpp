// Raw sockets on loopback, for what a well-behaved server does not do.
#ifndef TESTS_LOOPBACK_HPP
#define TESTS_LOOPBACK_HPP

#include <functional>
#include <string>
#include <thread>
#include <vector>

// Socket owns a descriptor.
class Socket {
public:
    Socket() = default;
    explicit Socket(int fd) : fd_(fd) {}
    Socket(Socket&& other) noexcept : fd_(other.release()) {}
    Socket& operator=(Socket&& other) noexcept;
    ~Socket() { close(); }

    int fd() const { return fd_; }
    int release();
    void close();
    void reset();  // close with an RST instead of a FIN
    void send(const std::string& text) const;
    std::string read_until(const std::string& end) const;  // or until the peer has closed
    bool peer_has_closed() const;  // waits until the peer sends or closes: true if it closed

private:
    int fd_ = -1;
};

// Listener listens on a port of the system's at 127.0.0.1.
class Listener {
public:
    explicit Listener(int backlog = 16);
    int fd() const { return socket_.fd(); }
    int port() const { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    Socket accept() const;  // none once shut_down() was called
    void shut_down() const;
    bool has_client() const;  // whether one waits to be accepted
    void close() { socket_.close(); }

private:
    Socket socket_;
    int port_ = 0;
};

// ScriptedServer accepts one client, reads its request and runs a script on it.
class ScriptedServer {
public:
    using Script = std::function<void(Socket& client)>;
    explicit ScriptedServer(Script script);
    ~ScriptedServer();  // waits for the script, unless no client came
    std::string url() const { return listener_.url(); }
    int port() const { return listener_.port(); }

private:
    Listener listener_;
    std::jthread thread_;
};

Socket connect_to(int port);
bool connects(const Socket& socket, int port);  // whether it can be connected

// FullListener has no room for another client: who connects to it goes on connecting.
class FullListener {
public:
    FullListener();
    int port() const { return listener_.port(); }
    std::string url() const { return listener_.url(); }

private:
    Listener listener_{0};
    std::vector<Socket> fillers_;
};

// What /proc/net/tcp says of the client's end of the connections to `port`.
enum class TcpState { established = 1, syn_sent = 2 };
bool has_client_socket(int port, TcpState state);
bool client_has_read_all(int port);

// asks_for_room returns whether the peer had no room for what is to be sent, and was asked again.
bool asks_for_room(const Socket& socket);

// What this process holds.
int open_descriptors();
int running_threads();

// wait_for waits until `condition` holds; it gives up after a minute and returns false.
bool wait_for(const std::function<bool()>& condition);

// listening_sockets lists all TCP sockets of this process that listen.
struct ListeningSocket {
    std::string address;
    unsigned backlog;  // how many clients may wait to be accepted
};
std::vector<ListeningSocket> listening_sockets();

#endif  // TESTS_LOOPBACK_HPP
