// Memory runs out on a thread of the server: the connection that it serves must be closed.
#include <poll.h>

#include <latch>

#include "tests/faults/injection.hpp"
#include "tests/library_faults/report.hpp"
#include "tests/loopback.hpp"

// One serves a connection on the thread that accepts, and lets its first allocation fail.
struct One : httplib::TaskQueue {
    explicit One(std::latch& at_end) : done(at_end) {}
    using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue(nullptr));
    Enqueued enqueue(std::function<void()> job) override {
        inject::allocation.arm(0);
        try {
            job();
        } catch (const std::bad_alloc&) {
        }
        inject::allocation.disarm();
        done.count_down();
        return static_cast<Enqueued>(true);
    }
    void shutdown() override {}

    std::latch& done;
};

int main() {
    inject::exempt = true;  // memory runs out on the thread of the server alone
    std::latch served(1);
    httplib::Server server;
    server.new_task_queue = [&served] { return new One(served); };
    const int port = server.bind_to_any_port("127.0.0.1");
    std::jthread thread([&server] { server.listen_after_bind(); });
    bool present = false;
    {
        const Socket client = connect_to(port);
        client.send("GET / HTTP/1.1\r\n\r\n");
        served.wait();
        pollfd ended{client.fd(), POLLIN, 0};
        present = ::poll(&ended, 1, 0) == 0;
    }
    server.stop();
    return report({"a server without memory leaves the connection open forever"}, present);
}
