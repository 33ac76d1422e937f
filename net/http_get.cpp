#include "net/http_get.hpp"

#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <utility>

#include "net/http_trace.hpp"
#include "net/lookup.hpp"
#include "net/plain_locale.hpp"
#include "net/socket_stop.hpp"
#include "net/url.hpp"

namespace {

using Phase = HttpError::Phase;
using Step = HttpEvent::Step;

// get does what http_get promises, but for the events of the trace that begin and end a call.
HttpResult get(const context::Context& ctx, const std::string& url, const HttpOptions& options,
               HttpTracer& trace);

}  // namespace

HttpResult http_get(const context::Context& ctx, const std::string& url,
                    const HttpOptions& options) {
    HttpTracer trace(ctx, url);
    trace(Step::call_started);
    HttpResult result = get(ctx, url, options, trace);
    if (result.error && result.error->aborted) {
        trace.stopped(Step::call_stopped);
        trace(Step::call_aborted);
    } else {
        trace(result.error ? Step::call_failed : Step::call_returned);
    }
    return result;
}

namespace {

// ResponseReader collects what the library reads, on the thread of the call. When take_head or
// take_body returns false, the library stops reading.
struct ResponseReader {
    explicit ResponseReader(std::size_t max) : max_body(max) {}

    bool take_head(const httplib::Response& head);
    bool take_body(const char* data, std::size_t size);
    std::string too_long() const {
        return "body is longer than " + std::to_string(max_body) + " bytes";
    }

    const std::size_t max_body;
    Phase phase = Phase::response;  // `read` once the headers are accepted
    HttpResponse response;
    BodyLength length;
    bool has_no_body = false;  // a 204 or 304
    std::string error;         // why it is refused; empty if it is not
};

// ClientStream is the connection of a call, as the library reads and writes it, by functions whose
// names depend on its version. The library's own stream does not say whether the peer closed the
// connection or reset it.
class ClientStream : public httplib::Stream {
public:
    // The library's request line is replaced: some versions decode a query and encode it again.
    ClientStream(int socket, std::string request_line)
        : socket_(socket), request_line_(std::move(request_line)) {}

    bool broken() const { return broken_; }  // whether a read has failed, as it does after a reset

    ssize_t read(char* data, std::size_t size) {
        if (unread_.empty()) {
            ssize_t n = -1;
            do {
                n = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
            } while (n < 0 && errno == EINTR);
            broken_ = broken_ || n < 0;
            if (n <= 0) return n;
            unread_ = {buffer_.data(), static_cast<std::size_t>(n)};
        }
        const std::size_t n = unread_.copy(data, size);
        unread_.remove_prefix(n);
        return static_cast<ssize_t>(n);
    }

    // The first call has all of the request's head, and sends it whole.
    ssize_t write(const char* data, std::size_t size) {
        const std::string_view given(data, size);
        std::string head = std::exchange(request_line_, {});
        if (!head.empty()) head += given.substr(given.find("\r\n"));
        std::string_view unsent = head.empty() ? given : head;
        while (!unsent.empty()) {
            const ssize_t n = ::send(socket_, unsent.data(), unsent.size(), MSG_NOSIGNAL);
            if (n < 0 && errno != EINTR) return -1;
            if (n > 0) unsent.remove_prefix(static_cast<std::size_t>(n));
        }
        return static_cast<ssize_t>(size);
    }

    bool is_readable() const { return true; }
    bool wait_readable() const { return true; }  // read and write do wait
    bool is_writable() const { return true; }
    bool wait_writable() const { return true; }
    time_t duration() const { return 0; }
    int socket() const { return socket_; }
    void get_remote_ip_and_port(std::string&, int&) const {}
    void get_local_ip_and_port(std::string&, int&) const {}

private:
    const int socket_;
    std::string request_line_;  // not sent yet
    std::array<char, 4096> buffer_;
    std::string_view unread_;  // in buffer_
    bool broken_ = false;
};

// Client is the library's, but for the stream. It asks for one target.
class Client : public httplib::ClientImpl {
public:
    explicit Client(const Url& url)
        : ClientImpl(url.host, url.port), request_line_("GET " + url.target + " HTTP/1.1") {}

    bool broken() const { return broken_; }  // see ClientStream

private:
    using Use = std::function<bool(httplib::Stream&)>;

    // The library calls one of these, by its version, once it is connected.
    bool process_socket(const Socket& socket, Use use) {
        ClientStream stream(socket.sock, request_line_);
        const bool used = use(stream);
        broken_ = stream.broken();
        return used;
    }
    bool process_socket(const Socket& socket, std::chrono::steady_clock::time_point, Use use) {
        return process_socket(socket, std::move(use));
    }

    const std::string request_line_;
    bool broken_ = false;
};

void configure(Client& client);
httplib::Headers request_headers(const HttpOptions& options, const Url& url);
std::string why_it_failed(httplib::Error error, const ResponseReader& reader, const std::string& ip,
                          bool has_socket);

HttpResult get(const context::Context& ctx, const std::string& url, const HttpOptions& options,
               HttpTracer& trace) {
    const auto failed = [&url](Phase phase, std::string reason) {
        return HttpResult{{}, HttpError{phase, url, std::move(reason)}};
    };
    const auto aborted = [&url](Phase phase, std::error_code err) {
        return HttpResult{{}, HttpError{phase, url, err.message(), err}};
    };

    const auto [parsed, unparsable] = parse_url(url);
    if (!unparsable.empty()) return failed(Phase::request, unparsable);
    if (std::string bad = bad_header(options.headers); !bad.empty()) {
        return failed(Phase::response, std::move(bad));
    }
    const auto [addresses, unknown] = lookup(ctx, parsed.host);
    if (const std::error_code err = ctx.err()) return aborted(Phase::response, err);
    if (!unknown.empty()) return failed(Phase::response, unknown);

    // The order of these two matters. The callback is registered before there is a connection:
    // SocketStop remembers a stop that comes early. Locals are destroyed in reverse, and the
    // destructor of on_done waits for a callback that is running: so the callback finds `socket`.
    SocketStop socket;
    const std::stop_callback on_done(ctx.done(), [&] {  // on another thread, or here
        trace.stopped(Step::call_stopped);              // before the server can learn of it
        socket.stop();
    });
    Client client(parsed);
    configure(client);
    bool has_socket = false;
    client.set_socket_options([&](int fd) {  // for each address, before it connects
        has_socket = true;
        socket.watch(fd);
        trace(Step::connecting);
    });

    ResponseReader reader(options.max_body);
    const auto take_head = [&](const httplib::Response& head) {
        trace(Step::got_response);
        return reader.take_head(head);
    };
    const auto take_body = [&](const char* data, std::size_t size) {
        return reader.take_body(data, size);
    };
    const httplib::Headers headers = request_headers(options, parsed);
    httplib::Result result(nullptr, httplib::Error::Connection);
    for (const std::string& ip : addresses) {
        const PlainLocale plain;
        client.set_hostname_addr_map({{parsed.host, ip}});
        result = client.Get("/", headers, take_head, take_body);
        if (result.error() != httplib::Error::Connection || ctx.err() || socket.error()) break;
    }

    // Ask in this order: several may hold together, and the first is the true reason. The context
    // comes first, because the library reports an aborted call as any error, or even as a success.
    if (const std::error_code err = ctx.err()) return aborted(reader.phase, err);
    // SocketStop has shut down a socket that it could not watch. The library only knows that it did
    // not connect.
    if (socket.error()) {
        return failed(reader.phase, "could not watch the socket: " + socket.error().message());
    }
    // For a 204 the library skips take_head.
    if (result && reader.response.status == 0) take_head(*result);
    // If we refused the answer, or needed no body, we made the library stop reading. It calls that
    // an error.
    if (!reader.error.empty()) return failed(reader.phase, reader.error);
    if (reader.has_no_body) return {std::move(reader.response), std::nullopt};
    if (!result) {
        return failed(reader.phase,
                      why_it_failed(result.error(), reader, addresses.back(), has_socket));
    }
    // Some versions of the library accept a body that is shorter than declared, or was cut off by a
    // reset.
    const std::size_t size = reader.response.body.size();
    if (reader.length.declared.value_or(size) != size || client.broken()) {
        return failed(reader.phase,
                      why_it_failed(httplib::Error::Read, reader, addresses.back(), has_socket));
    }
    return {std::move(reader.response), std::nullopt};
}

bool ResponseReader::take_head(const httplib::Response& head) {
    response.status = head.status;
    response.headers = {head.headers.begin(), head.headers.end()};
    length = body_length(response.headers);
    error = length.error;
    if (head.status < 200) error = "unsupported interim answer " + std::to_string(head.status);
    if (!error.empty()) return false;
    // A 204 or 304 has no body, whatever it declares; cpp-httplib 0.11 would wait for that of a
    // 304.
    has_no_body = head.status == 204 || head.status == 304;
    if (has_no_body) return false;
    phase = Phase::read;
    if (length.declared.value_or(0) <= max_body) return true;
    error = too_long();
    return false;
}

bool ResponseReader::take_body(const char* data, std::size_t size) {
    if (size > max_body - response.body.size()) {
        error = too_long();
        return false;
    }
    response.body.append(data, size);
    return true;
}

void configure(Client& client) {
    // The context is the only time limit. The library's own become the socket's: 24 days, near the
    // 2^31 ms that a poll() can count.
    constexpr std::chrono::days no_limit{24};
    client.set_read_timeout(no_limit);
    client.set_write_timeout(no_limit);
    // Half an hour to connect; Linux itself stops trying after two minutes. In microseconds,
    // because for whole seconds some builds call getaddrinfo_a: even an address would wait behind
    // other lookups.
    client.set_connection_timeout(0, 2'000'000'000);
    client.set_decompress(false);
}

httplib::Headers request_headers(const HttpOptions& options, const Url& url) {
    httplib::Headers headers(options.headers.begin(), options.headers.end());
    headers.emplace("Host", host_header(url));  // the library's own lacks the brackets of IPv6
    return headers;
}

// why_no_socket tries to make a socket, because the library does not say why it has none.
std::string why_no_socket(const std::string& ip) {
    const bool v6 = ip.find(':') != std::string::npos;
    const int another = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (another < 0) return "could not make a socket: " + std::generic_category().message(errno);
    ::close(another);
    return "could not connect";
}

std::string why_it_failed(httplib::Error error, const ResponseReader& reader, const std::string& ip,
                          bool has_socket) {
    switch (error) {
        case httplib::Error::Connection:
            return has_socket ? "could not connect" : why_no_socket(ip);
        case httplib::Error::Write:
            return "could not send the request";
        case httplib::Error::Read:
            if (reader.phase == Phase::read) {
                return "body ended early, after " + std::to_string(reader.response.body.size()) +
                       " bytes";
            }
            return "the answer ended early, or has a line that cpp-httplib cannot read";
        default:
            return httplib::to_string(error);
    }
}

}  // namespace

const char* to_string(Phase phase) {
    switch (phase) {
        case Phase::request:
            return "request";
        case Phase::response:
            return "response";
        case Phase::read:
            return "read";
    }
    return "";
}

std::string HttpError::message() const {
    switch (phase) {
        case Phase::request:
            return "parse " + quote(url) + ": " + reason;
        case Phase::response:
            return "Get " + quote(url) + ": " + reason;
        case Phase::read:
            break;
    }
    return reason;
}
