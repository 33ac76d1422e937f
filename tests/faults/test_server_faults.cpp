// Each allocation and each thread start in turn fails, once or from then on, while a TestServer
// starts, answers and closes.
//
// A start throws or has succeeded, and a close never fails. A request gets its answer, a 500 or no
// answer, and the server goes on. Nothing is left behind but what the library loses: a connection
// that it was serving when memory ran out (tests/library_faults/lost_connection.cpp).
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "net/test_server.hpp"
#include "tests/faults/injection.hpp"
#include "tests/loopback.hpp"

using inject::check;

namespace {

void answer(const context::Context&, const httplib::Request&, httplib::Response& response) {
    response.set_content(std::string(100, 'x') + "end", "text/plain");
}

Socket ask(const TestServer& server) {
    inject::exempt = true;
    Socket client = connect_to(std::stoi(server.url().substr(server.url().rfind(':') + 1)));
    client.send("GET / HTTP/1.1\r\n\r\n");
    inject::exempt = false;
    return client;
}

std::string read_answer(const Socket& client) {
    inject::exempt = true;
    const bool whole = client.read_until("end").ends_with("end");
    inject::exempt = false;
    return whole ? "whole" : "part";
}

bool can_be_read(const Socket& client) {
    pollfd readable{client.fd(), POLLIN, 0};
    return ::poll(&readable, 1, 0) == 1;
}

bool is_open(const Socket& client) {
    char byte = 0;
    ssize_t n = 1;
    while (n > 0) n = ::recv(client.fd(), &byte, 1, MSG_DONTWAIT);
    return n < 0 && errno == EAGAIN;
}

// What runs before and after a step must be equal, as soon as other threads have ended.
struct Holdings {
    long outstanding = inject::outstanding;
    int descriptors = open_descriptors();
    int threads = running_threads();

    void check_same(bool balanced, int lost, long n) const {
        check(open_descriptors() == descriptors + lost, "descriptors", n);
        check(wait_for([&] { return running_threads() == threads; }), "threads", n);
        check(!balanced || inject::outstanding == outstanding, "memory", n);
    }
};

void start_and_close(inject::Fault& fault, bool lasting, bool balanced) {
    for (long n = 0;; ++n) {
        const Holdings before;
        bool thrown = false;
        bool failed_at_start = false;
        fault.arm(n, lasting);
        try {
            const TestServer server(context::background(), answer);
            failed_at_start = fault.happened;
        } catch (const std::bad_alloc&) {
            thrown = true;
        } catch (const std::system_error& error) {
            thrown = error.code() == std::errc::resource_unavailable_try_again;
        }
        check(thrown || !failed_at_start, "a start that fails throws", n);
        fault.disarm();
        before.check_same(balanced, 0, n);
        if (!fault.happened) return;
    }
}

void serve(bool lasting, bool balanced) {
    for (long n = 0;; ++n) {
        const Holdings before;
        int lost = 0;
        {
            TestServer server(context::background(), answer);
            inject::allocation.arm(n, lasting);
            const Socket client = ask(server);
            check(wait_for([&] { return can_be_read(client) || inject::allocation.happened; }),
                  "an answer or a failure", n);
            inject::allocation.disarm();
            check(read_answer(ask(server)) == "whole", "the server goes on", n);
            server.close();
            lost = is_open(client) ? 1 : 0;
            check(lost == 0 || inject::allocation.happened, "an answer", n);
        }
        before.check_same(balanced, lost, n);
        if (!inject::allocation.happened) return;
    }
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    std::jthread([] {}).join();  // the sanitizer for threads starts one of its own with the first
    // What the first pass builds for good, the second finds.
    for (const bool balanced : {false, true}) {
        for (const bool lasting : {false, true}) {
            start_and_close(inject::thread_start, lasting, balanced);
            start_and_close(inject::allocation, lasting, balanced);
            serve(lasting, balanced);
        }
    }
    std::puts("ok");
}
