#include "net/http_get.hpp"

#include <httplib.h>

#include <chrono>
#include <limits>
#include <stop_token>
#include <system_error>
#include <utility>

#include "net/http_trace.hpp"
#include "net/lookup.hpp"
#include "net/socket_stop.hpp"
#include "net/url.hpp"

namespace {

using Phase = HttpError::Phase;
using Step = HttpEvent::Step;

// The context is the only time limit: the library's own are as far away as its poll() can count,
// which is 2^31 ms.
constexpr std::chrono::days no_limit{24};

// For a connect Linux has a limit of its own, two minutes by default. This one, 35 minutes, has no
// whole seconds: for those, some builds of the library call getaddrinfo_a even for an address, and
// that waits while other lookups fill its pool. Builds with select() keep microseconds in an int.
constexpr std::chrono::microseconds connect_limit{std::numeric_limits<int>::max()};

// A 304 has no body, whatever length it declares. cpp-httplib 0.11 would wait for one: take_head
// ends the call instead.
constexpr int not_modified = 304;

void configure(httplib::Client& client) {
    client.set_connection_timeout(0, connect_limit.count());
    client.set_read_timeout(no_limit);
    client.set_write_timeout(no_limit);
    client.set_decompress(false);
    // Send the target as it is. Versions of the library differ in the name of the option; of a
    // generic lambda only the branch that exists is compiled.
    [](auto& any_version) {
        if constexpr (requires { any_version.set_path_encode(false); }) {
            any_version.set_path_encode(false);
        } else {
            any_version.set_url_encode(false);
        }
    }(client);
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

// get does what http_get promises. It tells of what lies between the first and the last step, and
// sets `aborted` if it is the context that ended the call.
HttpResult get(const context::Context& ctx, const std::string& url, const HttpOptions& options,
               HttpTracer& tell, bool& aborted) {
    const auto failed = [&url](Phase phase, std::string reason) {
        return HttpResult{{}, HttpError{phase, url, std::move(reason)}};
    };

    const auto [address, unparsable] = parse_url(url);
    if (!unparsable.empty()) return failed(Phase::request, unparsable);
    if (std::string bad = bad_header(options.headers); !bad.empty()) {
        return failed(Phase::response, std::move(bad));
    }
    const auto [addresses, unknown] = lookup(ctx, address.host);
    if (const std::error_code err = ctx.err()) {
        aborted = true;
        return failed(Phase::response, err.message());
    }
    if (!unknown.empty()) return failed(Phase::response, unknown);

    httplib::Client client(address.host, address.port);
    configure(client);
    SocketStop socket;
    client.set_socket_options([&](int fd) {  // before it connects
        socket.watch(fd);
        tell(Step::connecting);
    });
    // Runs on the thread that cancels, or here and now if ctx has just ended.
    const std::stop_callback on_done(ctx.done(), [&] {
        socket.stop();
        tell.stopped(Step::call_stopped);
    });

    Phase phase = Phase::response;
    HttpResponse response;
    BodyLength length;
    bool too_long = false;
    const auto keep_head = [&](const httplib::Response& head) {
        tell(Step::got_response);
        response.status = head.status;
        response.headers = {head.headers.begin(), head.headers.end()};
    };
    const auto take_head = [&](const httplib::Response& head) {
        keep_head(head);
        if (head.status == not_modified) return false;
        if (head.status < 200) {
            length.error = "unsupported interim answer " + std::to_string(head.status);
            return false;
        }
        length = body_length(response.headers);
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
    httplib::Result result(nullptr, httplib::Error::Connection);
    for (const std::string& ip : addresses) {
        client.set_hostname_addr_map({{address.host, ip}});
        result = client.Get(address.target, {options.headers.begin(), options.headers.end()},
                            take_head, take_body);
        if (result.error() != httplib::Error::Connection || ctx.err() || socket.error()) break;
    }

    // The library reports a stop as an error or, where no length was declared, as a success.
    if (const std::error_code err = ctx.err()) {
        aborted = true;
        return failed(phase, err.message());
    }
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
    if (response.status == 0) keep_head(*result);  // a 204: take_head was not called
    return {std::move(response), std::nullopt};
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

HttpResult http_get(const context::Context& ctx, const std::string& url,
                    const HttpOptions& options) {
    HttpTracer tell(ctx, url);
    tell(Step::call_started);
    bool aborted = false;
    HttpResult result = get(ctx, url, options, tell, aborted);
    if (aborted) {
        tell.stopped(Step::call_stopped);
        tell(Step::call_aborted);
    } else {
        tell(result.error ? Step::call_failed : Step::call_returned);
    }
    return result;
}
