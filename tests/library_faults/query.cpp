// RFC 3986, 2.2: in a query `%20` and `+` are not the same.
#include <future>

#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

int main() {
    std::promise<std::string> request_line;
    const Listener listener;
    std::jthread server([&] {
        const Socket client = listener.accept();
        request_line.set_value(client.read_until("\r\n"));
    });
    httplib::Client client("127.0.0.1", listener.port());
    [](auto& any_version) {
        if constexpr (requires { any_version.set_path_encode(false); }) {
            any_version.set_path_encode(false);
        } else {
            any_version.set_url_encode(false);
        }
    }(client);
    (void)client.Get("/?q=%20+&&x=");
    return report(
        {"a query is decoded and encoded again, so that %20 becomes +", {0, 49, 0}, {0, 24, 0}},
        request_line.get_future().get() != "GET /?q=%20+&&x= HTTP/1.1\r\n");
}
