// Each allocation, each start of a thread, each descriptor and each accept in turn fails, once or
// from then on, while a TestServer starts, answers and closes.
//
// A start throws or has succeeded, and a close never fails. A request gets its answer, a 500 or the
// end of its connection, and the server goes on. Nothing is left behind.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "net/test_server.hpp"
#include "tests/faults/injection.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;
using inject::check;

namespace {

// The errno with which accept4 fails; 0 if it does not.
std::atomic<int> refusal = 0;
std::atomic<int> refused = 0;

}  // namespace

REPLACES(accept4)
extern "C" int accept4(int listener, sockaddr* address, socklen_t* size, int flags) {
    if (refusal == 0) return replaced_accept4()(listener, address, size, flags);
    ++refused;
    errno = refusal;
    return -1;
}

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

// What runs before and after a step must be equal, as soon as other threads have ended.
struct Holdings {
    long outstanding = inject::outstanding;
    int descriptors = open_descriptors();
    int threads = running_threads();

    void check_same(bool balanced, long n) const {
        check(open_descriptors() == descriptors, "descriptors", n);
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
        before.check_same(balanced, n);
        if (!fault.happened) return;
    }
}

void serve(bool lasting, bool balanced) {
    for (long n = 0;; ++n) {
        const Holdings before;
        {
            TestServer server(context::background(), answer);
            inject::allocation.arm(n, lasting);
            const Socket client = ask(server);
            check(wait_for([&] { return can_be_read(client) || inject::allocation.happened; }),
                  "an answer or a failure", n);
            inject::allocation.disarm();
            check(read_answer(ask(server)) == "whole", "the server goes on", n);
            check(read_answer(client) == "whole" || inject::allocation.happened, "an answer", n);
        }
        before.check_same(balanced, n);
        if (!inject::allocation.happened) return;
    }
}

// start_without_descriptors lets a server have none, then one, and so on.
void start_without_descriptors() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const Holdings before;
    const auto first_free = static_cast<rlim_t>(Socket(::dup(0)).fd());
    bool started = false;
    for (long n = 0; !started; ++n) {
        const rlimit few{first_free + static_cast<rlim_t>(n), limit.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &few);
        try {
            const TestServer server(context::background(), answer);
            started = true;
        } catch (const std::system_error& error) {
            check(error.code() == std::errc::too_many_files_open, "why a start failed", n);
        }
        ::setrlimit(RLIMIT_NOFILE, &limit);
        before.check_same(false, n);
    }
}

// A client that cannot be accepted waits until it can. Meanwhile the server tries again now and
// then: at most each 10 ms, since nothing else happens here.
void fail_to_accept() {
    for (const int error : {ENFILE, EMFILE, ECONNABORTED, ENOBUFS, ENOMEM, EPERM, EINVAL}) {
        const Holdings before;
        {
            TestServer server(context::background(), answer);
            const auto start = std::chrono::steady_clock::now();
            refused = 0;
            refusal = error;
            const Socket client = ask(server);
            check(wait_for([] { return refused >= 4; }), "the server tries again", error);
            check(std::chrono::steady_clock::now() - start > 25ms, "it does not spin", error);
            refusal = 0;
            check(read_answer(client) == "whole", "a client that had to wait", error);
            check(read_answer(ask(server)) == "whole", "the server goes on", error);

            refusal = error;
            const Socket never_accepted = ask(server);
            check(wait_for([] { return refused >= 5; }), "another failure", error);
            server.close();
            refusal = 0;
            check(read_answer(never_accepted) == "part", "the end of its connection", error);
        }
        before.check_same(false, error);
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
    start_without_descriptors();
    fail_to_accept();
    std::puts("ok");
}
