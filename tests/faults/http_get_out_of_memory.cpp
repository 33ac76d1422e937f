// Each allocation in turn fails during http_get, once or from then on. The call throws
// std::bad_alloc or returns an error, and leaves neither memory nor a descriptor behind.
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <string>
#include <string_view>
#include <thread>

#include "net/http_get.hpp"
#include "tests/faults/injection.hpp"
#include "tests/loopback.hpp"

using inject::check;

namespace {

// serve gives every client the same answer.
void serve(const Listener& listener, std::string_view answer) {
    inject::exempt = true;
    for (;;) {
        const Socket client = listener.accept();
        if (client.fd() < 0) return;
        client.read_until("\r\n\r\n");
        client.send(std::string(answer));
    }
}

long fail_each(const std::string& url, bool lasting, bool balanced) {
    HttpOptions options;
    options.headers.emplace("X-Long", std::string(100, 'x'));
    const int descriptors = open_descriptors();
    for (long n = 0;; ++n) {
        const long outstanding = inject::outstanding;
        bool whole = false;
        {
            const auto [ctx, cancel] = context::with_cancel(context::background());
            inject::allocation.arm(n, lasting);
            try {
                const HttpResult result = http_get(ctx, url, options);
                whole = !result.error && result.response.body.size() == 6000;
                check(whole || result.error, "a success with a part of the body", n);
            } catch (const std::bad_alloc&) {
            }
            inject::allocation.disarm();
        }
        // The server closes its end at a time of its own.
        check(wait_for([&] { return open_descriptors() == descriptors; }), "descriptors", n);
        check(!balanced || inject::outstanding == outstanding, "memory", n);
        if (inject::allocation.happened) continue;
        check(whole, "a success without a failed allocation", n);
        return n;
    }
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    const std::string body(6000, 'x');
    for (const std::string& answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + body,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1770\r\n" + body + "\r\n0\r\n\r\n",
          "HTTP/1.1 200 OK\r\n\r\n" + body}) {
        const Listener listener;
        std::jthread server([&] { serve(listener, answer); });
        // What the first call builds for good, the second finds.
        for (const bool balanced : {false, true}) {
            for (const bool lasting : {false, true}) {
                const long failures = fail_each(listener.url(), lasting, balanced);
                check(failures > 20, "allocations are made", failures);
            }
        }
        listener.shut_down();
    }
    std::puts("ok");
}
