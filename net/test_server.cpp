#include "net/test_server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/http_trace.hpp"

using namespace std::chrono_literals;

namespace {

using Step = HttpEvent::Step;

// Workers are the threads that serve connections. The library's own ThreadPool hangs or ends the
// process if one of its threads cannot be started, or if memory runs out.
class Workers : public httplib::TaskQueue {
public:
    explicit Workers(std::size_t count) {
        while (threads_.size() < count) {
            threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
        }
    }

    // Newer versions of the library want to hear whether there was room.
    using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue(nullptr));
    Enqueued enqueue(std::function<void()> job) override {
        try {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(job));
            wake_.notify_one();
        } catch (const std::bad_alloc&) {
            serve(job);  // which push_back has not touched
        }
        return static_cast<Enqueued>(true);
    }

    // shutdown returns when all jobs are done, those that still wait too.
    void shutdown() override {
        for (std::jthread& thread : threads_) thread.request_stop();
        threads_.clear();
    }

private:
    void work(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (wake_.wait(lock, stop, [this] { return !jobs_.empty(); })) {
            const std::function<void()> job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            serve(job);
            lock.lock();
        }
    }

    // serve does not let an exception end the process. The library throws std::bad_alloc, and then
    // does not close the connection.
    static void serve(const std::function<void()>& job) {
        try {
            job();
        } catch (const std::exception&) {
            return;  // its client has to give up by itself
        }
    }

    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::deque<std::function<void()>> jobs_;
    std::vector<std::jthread> threads_;  // last: its destructor ends those that have started
};

}  // namespace

struct TestServer::Running {
    explicit Running(const context::Context& parent)
        : open(context::with_cancel(parent)), tell(open.ctx, url) {}
    Running(const context::Context& parent, Handler handler);
    ~Running();

    void answer_with(Handler handler);
    void listen();
    void accept_requests();
    void settle_start(std::exception_ptr failure);

    httplib::Server server;
    int listener = -1;
    std::string url;
    context::Cancellable open;
    HttpTracer tell;  // refers to `url` and to what `open.ctx` carries
    std::promise<void> start;
    std::once_flag start_settled;
    std::thread thread;
};

// The delegation makes the destructor clean up after an exception.
TestServer::Running::Running(const context::Context& parent, Handler handler) : Running(parent) {
    answer_with(std::move(handler));
    listen();
    thread = std::thread([this] { accept_requests(); });
    start.get_future().get();
    tell(Step::listening);
}

TestServer::Running::~Running() {
    if (thread.joinable()) {
        tell(Step::closing);
        server.stop();  // first: no request that still waits is handed to a handler
        open.cancel();
        thread.join();
        tell(Step::closed);
    } else if (listener >= 0) {
        ::close(listener);
    }
}

void TestServer::Running::answer_with(Handler handler) {
    const auto answer = [this, handler = std::move(handler)](const httplib::Request& request,
                                                             httplib::Response& response) {
        const auto [ctx, cancel] = context::with_cancel(open.ctx);
        if (ctx.err()) {
            response.status = 503;  // the server is closing, or its parent has ended
            return;
        }
        HttpTracer tell_of(ctx, url);
        tell_of(Step::got_request);
        const auto stopped = [&tell_of] { tell_of.stopped(Step::handler_stopped); };
        {
            const std::stop_callback on_done(ctx.done(), stopped);
            // A child's callbacks, and so whatever wakes the handler, come after its parent's.
            const auto [own, end] = context::with_cancel(ctx);
            handler(own, request, response);
        }
        if (ctx.err()) stopped();
        tell_of(Step::handler_returned);
    };
    const char* const any_path = R"([\s\S]*)";
    server.Get(any_path, answer).Post(any_path, answer).Put(any_path, answer);
    server.Patch(any_path, answer).Delete(any_path, answer).Options(any_path, answer);

    // A connection that idles cannot be told that the server closes (cpp-httplib 0.11): so none is
    // kept after its answer, and others are given up soon. The time to the first byte is counted in
    // whole seconds.
    server.set_keep_alive_max_count(1);
    server.set_keep_alive_timeout(1);
    server.set_read_timeout(400ms);
    server.set_write_timeout(400ms);
}

void TestServer::Running::listen() {
    server.set_socket_options([this](int fd) { listener = fd; });
    const int port = server.bind_to_any_port("127.0.0.1");
    // The library's backlog, 5 in 0.11, would make clients that come all at once wait for seconds.
    if (port < 0 || ::listen(listener, 4096) < 0) {
        const int error = errno;
        if (port < 0) listener = -1;  // the library has closed it
        throw std::system_error(error, std::generic_category(), "cannot listen on 127.0.0.1");
    }
    url = "http://127.0.0.1:" + std::to_string(port);
}

// accept_requests runs on the thread of the server until that is stopped. The library calls
// new_task_queue once it can be stopped: that is the sign that the server is up. If
// listen_after_bind returns without it, the start has failed.
void TestServer::Running::accept_requests() {
    server.new_task_queue = [this] {
        auto workers = std::make_unique<Workers>(CPPHTTPLIB_THREAD_POOL_COUNT);
        settle_start(nullptr);
        return workers.release();  // the library deletes it
    };
    std::exception_ptr failure;
    try {
        server.listen_after_bind();
        failure = std::make_exception_ptr(std::runtime_error("cannot accept on 127.0.0.1"));
    } catch (...) {
        failure = std::current_exception();
    }
    settle_start(failure);
}

void TestServer::Running::settle_start(std::exception_ptr failure) {
    std::call_once(start_settled, [&] {
        if (failure) {
            start.set_exception(failure);
        } else {
            start.set_value();
        }
    });
}

TestServer::TestServer(const context::Context& parent, Handler handler)
    : running_(std::make_unique<Running>(parent, std::move(handler))), url_(running_->url) {}
TestServer::TestServer(TestServer&&) noexcept = default;
TestServer::~TestServer() = default;

void TestServer::close() { running_.reset(); }
