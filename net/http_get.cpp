#include "net/http_get.hpp"

#include <httplib.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <system_error>
#include <utility>

#include "net/socket_stop.hpp"
#include "net/url.hpp"

namespace {

using Phase = HttpError::Phase;

// The context is the only time limit; the library's own are as far away as its poll() in
// milliseconds can count.
constexpr std::chrono::hours no_limit{24 * 24};

// A 304 has no body, whatever length it declares; the library (cpp-httplib 0.11) waits for one.
constexpr int not_modified = 304;

void configure(httplib::Client& client) {
    client.set_connection_timeout(no_limit);
    client.set_read_timeout(no_limit);
    client.set_write_timeout(no_limit);
    client.set_decompress(false);
    // Send the target as it is: the name of the option depends on the library's version.
    [](auto& any_version) {
        if constexpr (requires { any_version.set_path_encode(false); }) {
            any_version.set_path_encode(false);
        } else {
            any_version.set_url_encode(false);
        }
    }(client);
}

// bad_header says which of the headers to send would break the request; empty if none does.
std::string bad_header(const Headers& headers) {
    constexpr std::string_view token =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    constexpr std::string_view blanks = " \t";
    const auto is_control = [](unsigned char c) { return (c < ' ' && c != '\t') || c == 127; };
    for (const auto& [name, value] : headers) {
        if (name.empty() || name.find_first_not_of(token) != std::string::npos) {
            return "invalid header name " + quote(name);
        }
        if (std::ranges::any_of(value, is_control) || value.find_first_of(blanks) == 0 ||
            (!value.empty() && value.find_last_of(blanks) == value.size() - 1)) {
            return "invalid value for header " + quote(name);
        }
    }
    return {};
}

// BodyLength is what the headers of a response say of the length of its body.
struct BodyLength {
    std::optional<std::uint64_t> declared;
    std::string error;
};

BodyLength body_length(const httplib::Response& response) {
    if (response.has_header("Transfer-Encoding")) {
        const std::string coding = response.get_header_value("Transfer-Encoding");
        const bool single = response.get_header_value_count("Transfer-Encoding") == 1;
        if (single && ::strcasecmp(coding.c_str(), "chunked") == 0) return {};
        return {std::nullopt, "unsupported Transfer-Encoding " + quote(coding)};
    }
    BodyLength length;
    for (const auto& [name, text] : response.headers) {
        if (::strcasecmp(name.c_str(), "Content-Length") != 0) continue;
        std::uint64_t bytes = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, bytes);
        const bool number = stop == end && error == std::errc{};
        if (!number || length.declared.value_or(bytes) != bytes) {
            return {std::nullopt, "bad Content-Length " + quote(text)};
        }
        length.declared = bytes;
    }
    return length;
}

std::string reason_of(httplib::Error error, Phase phase, std::size_t received) {
    switch (error) {
        case httplib::Error::Connection:
            return "could not connect";
        case httplib::Error::Write:
            return "could not send the request";
        case httplib::Error::Read:
            if (phase == Phase::response) return "connection ended without a valid response";
            return "body ended early, after " + std::to_string(received) + " bytes";
        default:
            return httplib::to_string(error);
    }
}

}  // namespace

bool HeaderNameLess::operator()(const std::string& a, const std::string& b) const {
    return ::strcasecmp(a.c_str(), b.c_str()) < 0;
}

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

HttpResult http_get(const context::Context& ctx, const std::string& url,
                    const HttpOptions& options) {
    const auto failed = [&url](Phase phase, std::string reason) {
        return HttpResult{{}, HttpError{phase, url, std::move(reason)}};
    };

    const auto [address, unparsable] = parse_url(url);
    if (!unparsable.empty()) return failed(Phase::request, unparsable);
    if (std::string bad = bad_header(options.headers); !bad.empty()) {
        return failed(Phase::response, std::move(bad));
    }
    if (const std::error_code err = ctx.err()) return failed(Phase::response, err.message());

    httplib::Client client(address.host, address.port);
    configure(client);
    SocketStop socket;
    client.set_socket_options([&socket](int created) { socket.watch(created); });
    const std::stop_callback on_done(ctx.done(), [&socket] { socket.stop(); });

    Phase phase = Phase::response;
    HttpResponse response;
    BodyLength length;
    bool too_long = false;
    const auto take_head = [&](const httplib::Response& head) {
        if (head.status == not_modified) {
            response.status = head.status;
            response.headers = {head.headers.begin(), head.headers.end()};
            return false;
        }
        if (head.status < 200) {
            length.error = "unsupported interim answer " + std::to_string(head.status);
            return false;
        }
        length = body_length(head);
        if (!length.error.empty()) return false;
        phase = Phase::read;
        too_long = length.declared.value_or(0) > options.max_body;
        return !too_long;
    };
    const auto take_body = [&](const char* data, std::size_t size) {
        too_long = size > options.max_body - response.body.size();
        if (!too_long) response.body.append(data, size);
        return !too_long;
    };
    const httplib::Result result = client.Get(
        address.target, {options.headers.begin(), options.headers.end()}, take_head, take_body);

    // The library reports a stop as a read error or, where no length was declared, as a success.
    if (const std::error_code err = ctx.err()) return failed(phase, err.message());
    if (socket.error()) return failed(phase, socket.error().message());
    if (response.status == not_modified) return {std::move(response), std::nullopt};
    if (!length.error.empty()) return failed(phase, length.error);
    if (too_long) {
        return failed(phase, "body is longer than " + std::to_string(options.max_body) + " bytes");
    }
    if (!result) return failed(phase, reason_of(result.error(), phase, response.body.size()));
    if (length.declared.value_or(response.body.size()) != response.body.size()) {
        return failed(phase, reason_of(httplib::Error::Read, phase, response.body.size()));
    }
    response.status = result->status;
    response.headers = {result->headers.begin(), result->headers.end()};
    return {std::move(response), std::nullopt};
}
