// Signals hit every thread all the time, and their handler restarts no system call: none ends a
// wait, none is reported as a failure.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;

namespace {

std::atomic<int> handled = 0;
thread_local volatile std::sig_atomic_t handled_here = 0;

void on_signal(int) {
    ++handled;
    handled_here = handled_here + 1;
}

void check(bool ok, const char* what) {
    if (ok) return;
    std::printf("failed: %s\n", what);
    std::fflush(stdout);
    std::_Exit(1);
}

void set_signals(int how) {
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ::pthread_sigmask(how, &usr1, nullptr);
}

// Quiet is how a thread that is started meanwhile gets no signals: those of the raw servers.
struct Quiet {
    Quiet() { set_signals(SIG_BLOCK); }
    ~Quiet() { set_signals(SIG_UNBLOCK); }
};

void await_signals(int count) {
    const int before = handled;
    check(wait_for([&] { return handled > before + count; }), "signals");
}

// pester sends a signal to all threads but its own.
void pester(const std::stop_token& stop) {
    set_signals(SIG_BLOCK);
    while (!stop.stop_requested()) {
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
            const int thread = std::stoi(task.path().filename());
            if (thread != ::gettid()) ::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR1);
        }
        std::this_thread::sleep_for(100us);
    }
}

void sleep_and_wait() {
    const auto before = std::chrono::steady_clock::now();
    check(!context::sleep_for(context::background(), 50ms), "sleep_for");
    check(std::chrono::steady_clock::now() - before >= 50ms, "sleep_for sleeps to the end");
    const auto [ctx, cancel] = context::with_timeout(context::background(), 50ms);
    check(context::wait(ctx) == context::errc::deadline_exceeded, "wait");
    check(std::chrono::steady_clock::now() - before >= 100ms, "wait waits to the end");
}

void connect() {
    const FullListener server;
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::jthread canceller([&cancel_it = cancel] {
        const Quiet quiet;
        await_signals(500);
        cancel_it();
    });
    const HttpResult result = http_get(ctx, server.url());
    check(result.error && result.error->reason == "context canceled", "connecting");
}

void read_slowly() {
    std::optional<Quiet> quiet(std::in_place);
    const ScriptedServer server([](Socket& client) {
        for (const char c :
             std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")) {
            await_signals(10);
            client.send({c});
        }
    });
    quiet.reset();
    const auto [response, error] = http_get(context::background(), server.url());
    check(!error && response.body == "0123456789", error ? error->reason.c_str() : "the body");
}

void send_much() {
    std::optional<Quiet> quiet(std::in_place);
    const Listener listener;
    std::jthread server([&] {
        const Socket client = listener.accept();
        await_signals(100);
        client.read_until("\r\n\r\n");
        client.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    quiet.reset();
    HttpOptions options;
    options.headers.emplace("X-Long", std::string(8'000'000, 'x'));
    const auto [response, error] = http_get(context::background(), listener.url(), options);
    check(!error && response.status == 204, error ? error->reason.c_str() : "the status");
}

void serve_and_close() {
    for (int i = 0; i < 10; ++i) {
        std::latch begun{1};
        TestServer server(context::background(),
                          [&begun](const context::Context& ctx, const httplib::Request& request,
                                   httplib::Response& response) {
                              if (request.path == "/wait") {
                                  begun.count_down();
                                  context::wait(ctx);
                              }
                              response.set_content("ok", "text/plain");
                          });
        for (int j = 0; j < 10; ++j) {
            const auto [response, error] = http_get(context::background(), server.url());
            check(!error && response.body == "ok", error ? error->reason.c_str() : "the answer");
        }
        std::jthread waiting([url = server.url() + "/wait"] {
            const auto [response, error] = http_get(context::background(), url);
            check(error || response.body == "ok", "the answer at the end");
        });
        begun.wait();
        await_signals(10);
        server.close();
    }
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    struct sigaction action{};
    action.sa_handler = on_signal;
    ::sigaction(SIGUSR1, &action, nullptr);
    {
        const std::jthread pesterer(pester);
        sleep_and_wait();
        connect();
        read_slowly();
        send_much();
        serve_and_close();
    }
    check(handled_here > 100, "this thread was hit");
    std::puts("ok");
}
