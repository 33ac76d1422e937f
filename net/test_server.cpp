#include "net/test_server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/connection.hpp"
#include "net/http_trace.hpp"
#include "net/plain_locale.hpp"
#include "net/signals_blocked.hpp"

namespace {

using Step = HttpEvent::Step;

constexpr const char* host = "127.0.0.1";

int checked(int result) {
    if (result >= 0) return result;
    throw std::system_error(errno, std::generic_category(), "cannot listen on 127.0.0.1");
}

// watch adds a descriptor to an epoll, or modifies how it is watched there; the epoll reports it as
// `key`. It returns a negative number if that fails.
int watch(const Descriptor& epoll, int operation, int number, std::uint32_t events,
          std::int64_t key) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = static_cast<std::uint64_t>(key);
    return ::epoll_ctl(epoll.number(), operation, number, &event);
}

// Call unwatch before the close: if a fork() has copied the descriptor, a close alone leaves it in
// the epoll.
void unwatch(const Descriptor& epoll, int number) {
    ::epoll_ctl(epoll.number(), EPOLL_CTL_DEL, number, nullptr);
}

// Exchange is a request and its answer, as the library sees them: it reads and writes the
// connection by functions whose names depend on its version.
class Exchange : public httplib::Stream {
public:
    Exchange(Connection& connection, const context::Context& client)
        : connection_(connection), client_(client) {}

    const context::Context& client() const { return client_; }  // done when the client has gone
    const httplib::Request& request() const { return *request_; }

    ssize_t read(char* data, std::size_t size) { return connection_.read(data, size); }
    ssize_t write(const char* data, std::size_t size) { return connection_.write(data, size); }
    bool is_readable() const { return true; }
    bool wait_readable() const { return true; }  // read and write do wait
    bool wait_writable() const { return true; }
    bool is_writable() const { return connection_.can_write(); }
    bool is_peer_alive() const { return is_writable(); }
    time_t duration() const { return 0; }
    int socket() const { return 0; }  // some versions refuse to serve numbers from 1024 on
    void get_remote_ip_and_port(std::string& ip, int& port) const {
        ip = connection_.address(port);
    }
    void get_local_ip_and_port(std::string& ip, int& port) const {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        ::getsockname(connection_.number(), reinterpret_cast<sockaddr*>(&address), &size);
        ip = host;
        port = ntohs(address.sin_port);
    }

    // hide_path is called when the headers of the request have been read. The library then matches
    // the path against a regular expression, which takes a part of the stack for each character of
    // it: so it gets to see "/" until show_path is called.
    void hide_path(httplib::Request& received) {
        request_ = &received;
        path_ = std::exchange(received.path, "/");
        // A request without a length has no body. The library would wait for one.
        if (!received.has_header("Content-Length") && !received.has_header("Transfer-Encoding")) {
            received.set_header("Content-Length", "0");
        }
    }

    void show_path() {
        request_->path = std::move(path_);
        [this](auto& any_version) {  // generic, so that a version without the member compiles
            if constexpr (requires { any_version.is_connection_closed; }) {
                any_version.is_connection_closed = [this] { return bool(client_.err()); };
            }
        }(*request_);
    }

    // guard_stream is called before the answer is sent. The library lets the exceptions of a
    // content provider pass, and some versions go on asking it while the server closes.
    void guard_stream(httplib::Response& response) {
        const auto guarded = [](auto function) {
            return [function = std::move(function)](auto&&... arguments) {
                try {
                    return function(arguments...);
                } catch (...) {
                    return decltype(function(arguments...))();  // false, or nothing
                }
            };
        };
        if (!response.content_provider_) return;
        connection_.begin_stream();
        response.content_provider_ =
            [this, provide = guarded(std::move(response.content_provider_))](
                std::size_t offset, std::size_t length, httplib::DataSink& sink) {
                const ThreadLocale the_programs(LC_GLOBAL_LOCALE);
                return is_writable() && provide(offset, length, sink);
            };
        auto& release = response.content_provider_resource_releaser_;
        if (release) release = guarded(std::move(release));
    }

private:
    Connection& connection_;
    const context::Context& client_;
    httplib::Request* request_ = nullptr;
    std::string path_;
};

// has_answer returns whether a handler has set a status or content. Some versions of the library
// take a file as content.
bool has_answer(const httplib::Response& response) {
    const bool has_file = [](const auto& any_version) {
        if constexpr (requires { any_version.file_content_path_; }) {
            return !any_version.file_content_path_.empty();
        }
        return false;
    }(response);
    return response.status >= 0 || !response.body.empty() || response.content_provider_ || has_file;
}

// served is the exchange that this thread serves.
thread_local Exchange* served = nullptr;

// Library is the library's server without its threads: it reads a request, calls a function that
// answers it, and writes the answer.
class Library : public httplib::Server {
public:
    ~Library() override { close(); }

    template <class Answer>
    void answer_with(Answer answer) {
        const auto to_all = [answer](const httplib::Request&, httplib::Response& response) {
            served->show_path();
            answer(*served, response);
        };
        Get("/", to_all).Post("/", to_all).Put("/", to_all);
        Patch("/", to_all).Delete("/", to_all).Options("/", to_all);
        set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
            served->guard_stream(response);
        });
    }

    // listen returns the port.
    int listen() {
        set_tcp_nodelay(true);
        set_socket_options([](int) {});  // not the library's, which let others listen on the port
        const int port = bind_to_any_port(host);
        is_open_ = listener() >= 0;
        checked(port);
        // The library's backlog, 5 in 0.11, would make clients that come together wait for seconds.
        checked(::listen(listener(), 4096));
        checked(::fcntl(listener(), F_SETFL, O_NONBLOCK));
        return port;
    }

    // listener keeps its number after close(): without one the library sends no answers.
    int listener() const { return svr_sock_; }

    void close() {
        if (std::exchange(is_open_, false)) ::close(listener());
    }

    // serve returns false if the answer did not reach its end. Versions of the library differ in
    // whether they want to be told the addresses.
    bool serve(Exchange& exchange) {
        const auto hide_path = [&exchange](httplib::Request& received) {
            exchange.hide_path(received);
        };
        bool closed = false;
        served = &exchange;
        return [&](auto& any_version) {
            if constexpr (requires {
                              any_version.process_request(exchange, true, closed, hide_path);
                          }) {
                return any_version.process_request(exchange, true, closed, hide_path);
            } else {
                std::string client, server;
                int client_port = 0, server_port = 0;
                exchange.get_remote_ip_and_port(client, client_port);
                exchange.get_local_ip_and_port(server, server_port);
                return any_version.process_request(exchange, client, client_port, server,
                                                   server_port, true, closed, hide_path);
            }
        }(*this);
    }

private:
    bool is_open_ = false;
};

}  // namespace

// The acceptor reads the head of each request: a client that is slow to send one keeps no other
// waiting. A worker then reads the rest, calls the handler and writes the answer. Meanwhile the
// watcher waits for the client to go away.
struct TestServer::Running {
    explicit Running(const context::Context& parent)
        : server(context::with_cancel(parent)), trace(server.ctx, url) {}
    Running(const context::Context& parent, Handler given);
    ~Running();

    void start_threads();
    void accept_clients();
    void accept_client();
    void read_more(int number);
    void hand_over(std::unique_ptr<Connection> connection);
    void watch_clients();
    void serve_clients();
    void serve(Connection& connection);
    void answer(Exchange& exchange, httplib::Response& response) const;

    Handler handler;
    Library library;
    std::string url;
    context::Cancellable server;
    HttpTracer trace;  // refers to `url` and to what `server.ctx` carries
    bool listens = false;

    Descriptor closing;   // an eventfd that can be read from the close on
    Descriptor arrivals;  // an epoll of `closing`, the listener and new clients, by their numbers
    Descriptor clients;   // an epoll of `closing`, as 0, and of clients, by their keys in `at_work`
    std::map<int, std::unique_ptr<Connection>> arriving;  // new clients: the acceptor's alone

    std::mutex mutex;  // guards what follows, up to `wake`
    bool closed = false;
    std::deque<std::unique_ptr<Connection>> waiting;  // for a worker
    std::map<std::int64_t, std::shared_ptr<context::Cancellable>> at_work;
    std::int64_t last_key = 0;
    std::condition_variable wake;

    std::vector<std::jthread> threads;  // the acceptor is the first
};

// The delegation makes the destructor clean up after an exception. The library listens when all
// threads have started: nobody can connect to a server that does not start.
TestServer::Running::Running(const context::Context& parent, Handler given) : Running(parent) {
    handler = std::move(given);
    library.answer_with(
        [this](Exchange& exchange, httplib::Response& response) { answer(exchange, response); });
    start_threads();
    url = "http://" + std::string(host) + ':' + std::to_string(library.listen());
    const int listener = library.listener();
    checked(watch(arrivals, EPOLL_CTL_ADD, listener, EPOLLIN, listener));
    listens = true;
    trace(Step::listening);
}

TestServer::Running::~Running() {
    if (listens) trace(Step::closing);
    ::eventfd_write(closing.number(), 1);
    if (!threads.empty()) threads.front().join();
    library.close();
    {
        const std::lock_guard lock(mutex);
        closed = true;
    }
    wake.notify_all();
    server.cancel();
    threads.clear();
    if (listens) trace(Step::closed);
}

void TestServer::Running::start_threads() {
    closing = Descriptor(checked(::eventfd(0, EFD_CLOEXEC)));
    arrivals = Descriptor(checked(::epoll_create1(EPOLL_CLOEXEC)));
    clients = Descriptor(checked(::epoll_create1(EPOLL_CLOEXEC)));
    checked(watch(arrivals, EPOLL_CTL_ADD, closing.number(), EPOLLIN, closing.number()));
    checked(watch(clients, EPOLL_CTL_ADD, closing.number(), EPOLLIN, 0));

    const SignalsBlocked while_they_start;
    const std::size_t workers = CPPHTTPLIB_THREAD_POOL_COUNT;
    threads.reserve(workers + 2);
    threads.emplace_back([this] { accept_clients(); });
    threads.emplace_back([this] { watch_clients(); });
    while (threads.size() < workers + 2) threads.emplace_back([this] { serve_clients(); });
}

void TestServer::Running::accept_clients() {
    bool rests = false;
    for (;;) {
        epoll_event event{};
        const int count = ::epoll_wait(arrivals.number(), &event, 1, rests ? 10 : -1);
        const int listener = library.listener();
        if (std::exchange(rests, false)) {
            watch(arrivals, EPOLL_CTL_MOD, listener, EPOLLIN, listener);
        }
        if (count != 1) continue;
        const int number = static_cast<int>(event.data.u64);
        if (number == closing.number()) return;
        try {
            if (number == listener) {
                accept_client();
            } else {
                read_more(number);
            }
        } catch (const std::exception&) {
            // Memory or descriptors have run out, or the client has gone.
            if (number == listener) {
                // The client still waits: epoll would report it again at once. So the listener
                // rests until there is another event, for 10 ms at most.
                watch(arrivals, EPOLL_CTL_MOD, listener, 0, listener);
                rests = true;
            } else {
                unwatch(arrivals, number);
                arriving.erase(number);
            }
        }
    }
}

void TestServer::Running::accept_client() {
    auto connection = std::make_unique<Connection>(library.listener(), closing.number());
    const int number = checked(connection->number());
    const Connection::Head head = connection->read_head();
    if (head == Connection::Head::complete) hand_over(std::move(connection));
    if (head != Connection::Head::incomplete) return;
    arriving[number] = std::move(connection);
    if (watch(arrivals, EPOLL_CTL_ADD, number, EPOLLIN, number) < 0) arriving.erase(number);
}

// read_more reads what a new client has sent.
void TestServer::Running::read_more(int number) {
    std::unique_ptr<Connection>& connection = arriving.at(number);
    const Connection::Head head = connection->read_head();
    if (head == Connection::Head::incomplete) return;
    unwatch(arrivals, number);
    if (head == Connection::Head::complete) hand_over(std::move(connection));
    arriving.erase(number);
}

void TestServer::Running::hand_over(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(connection));
    wake.notify_one();
}

void TestServer::Running::watch_clients() {
    for (;;) {
        epoll_event event{};
        if (::epoll_wait(clients.number(), &event, 1, -1) != 1) continue;  // EINTR
        const auto key = static_cast<std::int64_t>(event.data.u64);
        if (key == 0) return;
        std::shared_ptr<context::Cancellable> client;
        {
            const std::lock_guard lock(mutex);
            const auto found = at_work.find(key);
            if (found == at_work.end()) continue;  // it has been served
            client = found->second;
        }
        client->cancel(std::make_error_code(std::errc::connection_aborted));
    }
}

void TestServer::Running::serve_clients() {
    std::unique_lock lock(mutex);
    for (;;) {
        wake.wait(lock, [this] { return closed || !waiting.empty(); });
        if (closed) return;
        std::unique_ptr<Connection> connection = std::move(waiting.front());
        waiting.pop_front();
        lock.unlock();
        serve(*connection);
        connection.reset();
        lock.lock();
    }
}

void TestServer::Running::serve(Connection& connection) {
    std::int64_t key = 0;
    try {
        const auto client =
            std::make_shared<context::Cancellable>(context::with_cancel(server.ctx));
        {
            const std::lock_guard lock(mutex);
            key = ++last_key;
            at_work.emplace(key, client);
        }
        constexpr std::uint32_t gone = EPOLLRDHUP | EPOLLONESHOT;
        checked(watch(clients, EPOLL_CTL_ADD, connection.number(), gone, key));
        Exchange exchange(connection, client->ctx);
        const PlainLocale plain;
        if (!library.serve(exchange)) connection.reset_on_close();
    } catch (...) {  // there is no memory, or the client cannot be watched
        connection.reset_on_close();
    }
    unwatch(clients, connection.number());
    std::unique_lock lock(mutex);
    const auto ended = at_work.extract(key);
    lock.unlock();  // what destroys the client's CancelFunc may run callbacks
}

void TestServer::Running::answer(Exchange& exchange, httplib::Response& response) const {
    if (server.ctx.err()) {
        response.status = 503;  // the server is closing, or its parent is done
        return;
    }
    const context::Context& client = exchange.client();
    HttpTracer client_trace(client, url);
    client_trace(Step::got_request);
    const auto stopped = [&client_trace] { client_trace.stopped(Step::handler_stopped); };
    {
        const std::stop_callback on_done(client.done(), stopped);
        // The handler's context is a child of its client's: the callbacks of a child, and with them
        // what wakes the handler, come after those of its parent.
        const auto [ctx, cancel] = context::with_cancel(client);
        const ThreadLocale the_programs(LC_GLOBAL_LOCALE);
        handler(ctx, exchange.request(), response);
    }
    if (client.err()) {
        stopped();
        if (!has_answer(response)) response.status = 503;
    }
    client_trace(Step::handler_returned);
}

TestServer::TestServer(const context::Context& parent, Handler handler)
    : running_(std::make_unique<Running>(parent, std::move(handler))), url_(running_->url) {}
TestServer::TestServer(TestServer&&) noexcept = default;
TestServer::~TestServer() = default;

void TestServer::close() { running_.reset(); }
