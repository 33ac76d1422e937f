#include "net/test_server.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "net/http_get.hpp"
#include "net/http_trace.hpp"
#include "tests/bounded.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;
using context::Context;
using httplib::Request;
using httplib::Response;

namespace {

void answer_ok(const Context&, const Request&, Response& response) {
    response.set_content("ok", "text/plain");
}

int port_of(const TestServer& server) {
    return std::stoi(server.url().substr(server.url().rfind(':') + 1));
}

const std::string get = "GET / HTTP/1.1\r\n\r\n";

Socket client_of(const TestServer& server, const std::string& sent) {
    Socket client = connect_to(port_of(server));
    client.send(sent);
    return client;
}

bool is_answered(const Socket& client) { return client.read_until("ok").ends_with("ok"); }

// all_of returns what a client receives until its server ends the connection; `reset` says whether
// by a reset.
std::string all_of(const Socket& client, bool* reset = nullptr) {
    std::string text;
    std::array<char, 65536> piece;
    ssize_t n = 0;
    while ((n = ::recv(client.fd(), piece.data(), piece.size(), 0)) > 0) {
        text.append(piece.data(), static_cast<std::size_t>(n));
    }
    if (reset) *reset = n < 0 && errno == ECONNRESET;
    return text;
}

// A body that no socket buffers take as a whole.
const std::string large(20'000'000, 'x');

}  // namespace

TEST_CASE("a server accepts requests when its constructor returns") {
    for (int i = 0; i < 20; ++i) {
        const TestServer server(context::background(), answer_ok);
        CHECK(server.url().starts_with("http://127.0.0.1:"));
        CHECK(http_get(context::background(), server.url()).response.body == "ok");
    }
}

TEST_CASE("a server that was started can be closed at once, and closed again") {
    for (int i = 0; i < 20; ++i) {
        TestServer server(context::background(), answer_ok);
        const std::string url = server.url();
        server.close();
        server.close();
        CHECK(server.url() == url);
        CHECK(http_get(context::background(), url).error->reason == "could not connect");
    }
}

TEST_CASE("servers listen on 127.0.0.1 and nowhere else") {
    const TestServer one(context::background(), answer_ok);
    const TestServer two(context::background(), answer_ok);
    const auto sockets = listening_sockets();
    REQUIRE(sockets.size() == 2);
    for (const auto& socket : sockets) CHECK(socket.address == "127.0.0.1");
}

TEST_CASE("a thousand clients may wait to be accepted, unless the system allows fewer") {
    const TestServer server(context::background(), answer_ok);
    unsigned most = 0;
    std::ifstream("/proc/sys/net/core/somaxconn") >> most;
    const auto sockets = listening_sockets();
    REQUIRE(sockets.size() == 1);
    CHECK(sockets.front().backlog >= std::min(most, 1000U));
}

TEST_CASE("a handler sees every path and method") {
    const TestServer server(
        context::background(), [](const Context&, const Request& request, Response& response) {
            response.set_content(request.method + ' ' + std::to_string(request.path.size()) + ' ' +
                                     request.body + request.get_param_value("q"),
                                 "text/plain");
        });
    for (const std::size_t size : {1U, 200U, 257U, 4000U}) {
        const std::string path = '/' + std::string(size, 'x');
        CHECK(http_get(context::background(), server.url() + path).response.body ==
              "GET " + std::to_string(size + 1) + ' ');
    }
    CHECK(http_get(context::background(), server.url() + "/%0A?q=1").response.body == "GET 2 1");
    for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
        const Socket client =
            client_of(server, method + " / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
        CHECK(all_of(client).ends_with("\r\n\r\n" + method + " 1 body"));
    }
    CHECK(all_of(client_of(server, "OPTIONS /x HTTP/1.1\r\n\r\n")).ends_with("OPTIONS 2 "));
}

TEST_CASE("a request without a length has no body, whatever its method") {
    const TestServer server(context::background(),
                            [](const Context&, const Request& request, Response& response) {
                                CHECK(request.body.empty());
                                response.set_content("ok", "text/plain");
                            });
    for (const std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
        for (const std::string header : {"", "Connection: close\r\n"}) {
            CAPTURE(method + header);
            CHECK(is_answered(client_of(server, method + " / HTTP/1.1\r\n" + header + "\r\n")));
        }
    }
}

TEST_CASE("a path of any length is answered or refused on threads with small stacks") {
    struct SmallStacks {
        SmallStacks() {
            pthread_attr_t small;
            ::pthread_getattr_default_np(&before);
            ::pthread_getattr_default_np(&small);
            ::pthread_attr_setstacksize(&small, std::size_t{slowdown} * 256 << 10);
            ::pthread_setattr_default_np(&small);
        }
        ~SmallStacks() { ::pthread_setattr_default_np(&before); }
        pthread_attr_t before;
    };
    std::optional<SmallStacks> stacks(std::in_place);
    const TestServer server(context::background(), answer_ok);
    stacks.reset();
    for (const std::size_t size : {4000U, 8000U, 100'000U, 1'000'000U}) {
        CAPTURE(size);
        const std::string path(size, 'x');
        const std::string answer = all_of(client_of(server, "GET /" + path + " HTTP/1.1\r\n\r\n"));
        CHECK((answer.empty() || answer.starts_with("HTTP/1.1 ")));
        if (size < 8000) CHECK(answer.ends_with("ok"));
    }
    CHECK(is_answered(client_of(server, get)));
}

TEST_CASE("a request is answered that comes bit by bit, and an answer arrives that is read so") {
    const TestServer server(
        context::background(), [](const Context&, const Request& request, Response& response) {
            response.set_content(request.body + std::string(300'000, 'x') + "ok", "text/plain");
        });
    const Socket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int small = 1024;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    REQUIRE(connects(client, port_of(server)));
    for (const char byte : std::string("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")) {
        client.send({byte});
    }
    CHECK(all_of(client).ends_with("\r\n\r\nbody" + std::string(300'000, 'x') + "ok"));
}

TEST_CASE("a handler that throws answers 500, and the server goes on") {
    const TestServer server(context::background(),
                            [](const Context&, const Request& request, Response& response) {
                                if (request.path == "/throw") throw std::runtime_error("thrown");
                                response.set_content("ok", "text/plain");
                            });
    CHECK(http_get(context::background(), server.url() + "/throw").response.status == 500);
    CHECK(http_get(context::background(), server.url()).response.body == "ok");
}

TEST_CASE("a stream whose provider throws fails at its client, and the server goes on") {
    {
        const TestServer warm_up(context::background(), answer_ok);
    }
    const int descriptors = open_descriptors();
    std::atomic<int> released{0};
    {
        const TestServer server(
            context::background(), [&](const Context&, const Request& request, Response& response) {
                const bool twice = request.path.ends_with("/later");
                const auto fail = [twice, how = request.path](auto& sink, std::size_t offset) {
                    sink.write("part", 4);
                    if (twice && offset == 0) return true;
                    if (how.starts_with("/int")) throw 1;
                    if (how.starts_with("/false")) return false;
                    throw std::runtime_error("thrown");
                };
                const auto release = [&](bool) {
                    ++released;
                    throw 2;
                };
                const auto provide = [=](std::size_t offset, httplib::DataSink& sink) {
                    return fail(sink, offset);
                };
                if (request.get_param_value("framing") == "declared") {
                    response.set_content_provider(
                        100, "text/plain",
                        [=](std::size_t offset, std::size_t, httplib::DataSink& sink) {
                            return fail(sink, offset);
                        },
                        release);
                } else if (request.get_param_value("framing") == "chunked") {
                    response.set_chunked_content_provider("text/plain", provide, release);
                } else {
                    response.set_content_provider("text/plain", provide, release);
                }
            });
        for (const std::string framing : {"declared", "chunked", "undeclared"}) {
            for (const std::string how : {"/int", "/exception", "/false"}) {
                CAPTURE(framing + how);
                for (int i = 0; i < 10; ++i) {
                    const Socket client = client_of(
                        server, "GET " + how + "?framing=" + framing + " HTTP/1.1\r\n\r\n");
                    bool reset = false;
                    CHECK(all_of(client, &reset).find("part") != std::string::npos);
                    CHECK(reset);
                }
            }
        }
    }
    CHECK(released == 90);
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("a handler that throws after it has begun a stream answers 500, and the server goes on") {
    const TestServer server(context::background(), [](const Context&, const Request&,
                                                      Response& response) {
        response.set_chunked_content_provider("text/plain", [](auto, auto&) -> bool { throw 1; });
        throw 2;
    });
    for (int i = 0; i < 20; ++i) {
        const std::string answer = all_of(client_of(server, get));
        CHECK(answer.starts_with("HTTP/1.1 500"));
    }
}

TEST_CASE("a handler's context is done as soon as its client goes away, however it goes") {
    const Bounded bounded;
    struct Way {
        std::string sent;
        void (*leave)(Socket&);
    };
    constexpr auto close = [](Socket& client) { client.close(); };
    constexpr auto reset = [](Socket& client) { client.reset(); };
    constexpr auto half_close = [](Socket& client) { ::shutdown(client.fd(), SHUT_WR); };
    for (const Way& way : {Way{get, close}, Way{get, reset}, Way{get, half_close},
                           Way{get + get + "GET / HT", close}, Way{get + get, reset},
                           Way{"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", close},
                           Way{"GET / HTTP/1.0\r\n\r\n", close},
                           Way{"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", close}}) {
        CAPTURE(way.sent);
        std::latch at_work(1);
        std::promise<std::error_code> err, why;
        const TestServer server(context::background(),
                                [&](const Context& ctx, const Request&, Response&) {
                                    at_work.count_down();
                                    err.set_value(context::wait(ctx));
                                    why.set_value(cause(ctx));
                                });
        Socket client = client_of(server, way.sent);
        at_work.wait();
        way.leave(client);
        CHECK(err.get_future().get() == context::errc::canceled);
        CHECK(why.get_future().get() == std::errc::connection_aborted);
    }
}

TEST_CASE("an aborted handler that sets nothing answers 503, whatever the handler sets is sent") {
    const Bounded bounded;
    const TestServer server(
        context::background(), [](const Context& ctx, const Request& request, Response& response) {
            context::wait(ctx);  // the client has closed its side
            if (request.path == "/status") response.status = 204;
            if (request.path == "/body") response.set_content("ok", "text/plain");
            if (request.path == "/stream") {
                response.set_content_provider(
                    2, "text/plain", [](std::size_t, std::size_t, httplib::DataSink& sink) {
                        return sink.write("ok", 2);
                    });
            }
        });
    const auto status_of = [&server](const std::string& path) {
        const Socket client = client_of(server, "GET " + path + " HTTP/1.1\r\n\r\n");
        ::shutdown(client.fd(), SHUT_WR);
        return all_of(client).substr(0, std::string("HTTP/1.1 200").size());
    };
    CHECK(status_of("/") == "HTTP/1.1 503");
    CHECK(status_of("/status") == "HTTP/1.1 204");
    CHECK(status_of("/body") == "HTTP/1.1 200");
    CHECK(status_of("/stream") == "HTTP/1.1 200");
}

TEST_CASE("a handler's context is done when the call that it answers is aborted") {
    const Bounded bounded;
    std::latch at_work(1);
    std::promise<std::error_code> err;
    const TestServer server(context::background(),
                            [&](const Context& ctx, const Request&, Response&) {
                                at_work.count_down();
                                err.set_value(context::wait(ctx));
                            });
    const auto [ctx, cancel] = context::with_cancel(context::background());
    const std::jthread client([&, &shared = ctx] { CHECK(http_get(shared, server.url()).error); });
    at_work.wait();
    cancel();
    CHECK(err.get_future().get() == context::errc::canceled);
}

TEST_CASE("a client that has closed only its own side still gets its answer, a stream too") {
    const Bounded bounded;
    const TestServer server(context::background(),
                            [](const Context& ctx, const Request& request, Response& response) {
                                context::wait(ctx);  // the client has gone
                                if (request.path == "/") return answer_ok(ctx, request, response);
                                response.set_chunked_content_provider(
                                    "text/plain", [](std::size_t offset, httplib::DataSink& sink) {
                                        CHECK(sink.is_writable());
                                        if (offset == 5) {
                                            sink.done();
                                        } else {
                                            sink.write("piece", 5);
                                        }
                                        return true;
                                    });
                            });
    for (const std::string path : {"/", "/stream"}) {
        const Socket client = client_of(server, "GET " + path + " HTTP/1.1\r\n\r\n");
        ::shutdown(client.fd(), SHUT_WR);
        const std::string answer = all_of(client);
        CHECK(answer.ends_with(path == "/" ? "\r\n\r\nok" : "5\r\npiece\r\n0\r\n\r\n"));
    }
}

TEST_CASE("no handler's context is done while its client waits, in a thousand requests") {
    std::atomic<int> alarms{0}, answers{0};
    {
        const TestServer server(
            context::background(),
            [&](const Context& ctx, const Request& request, Response& response) {
                for (int i = 0; i < 20 && !ctx.err(); ++i) {
                    std::this_thread::yield();
                }
                if (ctx.err()) ++alarms;
                answer_ok(ctx, request, response);
            });
        std::vector<std::jthread> clients;
        for (int c = 0; c < 4; ++c) {
            clients.emplace_back([&] {
                for (int i = 0; i < 250; ++i) {
                    if (http_get(context::background(), server.url()).response.body == "ok") {
                        ++answers;
                    }
                }
            });
        }
        clients.clear();
    }
    CHECK(alarms == 0);
    CHECK(answers == 1000);
}

TEST_CASE("of clients that come and go, exactly those that go cancel their handlers") {
    const Bounded bounded;
    constexpr std::size_t total = 400;
    std::vector<std::atomic<bool>> gone(total);
    std::atomic<int> false_alarms{0}, unheard{0};
    const unsigned seed = fresh_seed();
    CAPTURE(seed);
    {
        const TestServer server(
            context::background(), [&](const Context& ctx, const Request& request, Response& res) {
                const auto id = static_cast<std::size_t>(std::stoi(request.path.substr(1)));
                const bool stays = id % 2 == 0;
                const bool heard = bool(context::sleep_for(ctx, stays ? 200us : 100s));
                if (heard && !gone[id]) ++false_alarms;
                if (!heard && !stays) ++unheard;
                answer_ok(ctx, request, res);
            });
        std::atomic<std::size_t> next{0};
        std::vector<std::jthread> clients;
        for (unsigned c = 0; c < 8; ++c) {
            clients.emplace_back([&, c] {
                std::minstd_rand random(seed + c);
                for (std::size_t id = 0; (id = next++) < total;) {
                    Socket client =
                        client_of(server, "GET /" + std::to_string(id) + " HTTP/1.1\r\n\r\n");
                    if (id % 2 == 0) {
                        CHECK(is_answered(client));
                        continue;
                    }
                    std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
                    gone[id] = true;
                    if (random() % 2 == 0) client.reset();
                }
            });
        }
    }
    CHECK(false_alarms == 0);
    CHECK(unheard == 0);
}

TEST_CASE("a callback that blocks when its client has gone keeps no other request waiting") {
    const Bounded bounded;
    std::latch at_work(1), called(1), answered(1);
    const TestServer server(context::background(),
                            [&](const Context& ctx, const Request& request, Response& response) {
                                if (request.path == "/") return answer_ok(ctx, request, response);
                                const std::stop_callback blocks(ctx.done(), [&] {
                                    called.count_down();
                                    answered.wait();
                                });
                                at_work.count_down();
                                context::wait(ctx);
                            });
    Socket client = client_of(server, "GET /blocks HTTP/1.1\r\n\r\n");
    at_work.wait();
    client.close();
    called.wait();
    CHECK(is_answered(client_of(server, get)));
    answered.count_down();
}

TEST_CASE_FIXTURE(Bounded, "a callback on a client's context may call the server") {
    std::optional<std::stop_callback<std::function<void()>>> on_done;
    std::optional<TestServer> server;
    std::atomic_flag called;
    std::promise<std::string> second;
    const HttpTrace trace = [&](const HttpEvent& event) {
        if (event.step != HttpEvent::Step::got_request || called.test_and_set()) return;
        on_done.emplace(event.ctx.done(), [&] {
            second.set_value(http_get(context::background(), server->url()).response.body);
        });
    };
    server.emplace(context::with_value(context::background(), http_trace, trace), answer_ok);
    const Socket client = client_of(*server, get);  // it stays, so the server ends its context
    CHECK(is_answered(client));
    CHECK(second.get_future().get() == "ok");
}

TEST_CASE("a hundred clients that have sent half a request keep no other waiting, nor the close") {
    const Bounded bounded;
    for (const std::string sent : {"", "GET / HTT", "GET / HTTP/1.1\r\nHost:"}) {
        CAPTURE(sent);
        TestServer server(context::background(), answer_ok);
        std::vector<Socket> clients;
        for (int i = 0; i < 100; ++i) clients.push_back(client_of(server, sent));
        CHECK(http_get(context::background(), server.url()).response.body == "ok");
        server.close();
        for (const Socket& client : clients) CHECK(client.peer_has_closed());
    }
}

TEST_CASE("closing does not wait for a client that sends its body bit by bit, or not at all") {
    const Bounded bounded;
    for (const std::string framing : {"Content-Length: 1000000000", "Transfer-Encoding: chunked"}) {
        CAPTURE(framing);
        TestServer server(context::background(), answer_ok);
        const std::string head =
            "POST / HTTP/1.1\r\nExpect: 100-continue\r\n" + framing + "\r\n\r\n";
        const Socket silent = client_of(server, head);
        const Socket busy = client_of(server, head);
        for (const Socket* client : {&silent, &busy}) {
            REQUIRE(client->read_until("\r\n\r\n").starts_with("HTTP/1.1 100"));
        }
        std::atomic<bool> closed{false};
        const std::jthread sends([&] {
            while (!closed) busy.send("1\r\nx\r\n");
        });
        server.close();
        closed = true;
    }
}

TEST_CASE("closing does not wait for clients that do not read their answers, and resets them") {
    const Bounded bounded;
    for (const std::string how : {"body", "stream"}) {
        CAPTURE(how);
        TestServer server(context::background(), [&](const Context&, const Request&,
                                                     Response& response) {
            if (how == "body") return response.set_content(large, "text/plain");
            response.set_content_provider("text/plain", [](std::size_t, httplib::DataSink& sink) {
                return sink.write("piece", 5);
            });
        });
        std::vector<Socket> clients;
        for (int i = 0; i < 4; ++i) clients.push_back(client_of(server, get));
        for (const Socket& client : clients) {
            CHECK(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200"));
        }
        server.close();
        for (const Socket& client : clients) {
            bool reset = false;
            CHECK(all_of(client, &reset).size() < large.size());
            CHECK(reset);
        }
    }
}

TEST_CASE("closing does not wait for a stream that never ends, however fast it is read") {
    const Bounded bounded;
    for (const std::string how : {"in one call", "call by call", "without a byte"}) {
        CAPTURE(how);
        std::latch begun(1);
        std::atomic<bool> has_begun{false};
        TestServer server(context::background(), [&](const Context&, const Request&,
                                                     Response& response) {
            response.set_content_provider("text/plain", [&](std::size_t, httplib::DataSink& sink) {
                if (!has_begun.exchange(true)) begun.count_down();
                if (how == "without a byte") return true;
                while (sink.write("piece", 5) && how == "in one call") continue;
                return true;
            });
        });
        const Socket client = client_of(server, get);
        const std::jthread reads([&] { all_of(client); });
        begun.wait();
        server.close();
    }
}

TEST_CASE("the threads of a server take no signals") {
    const auto threads = [] {
        std::set<std::string> ids;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
            ids.insert(task.path());
        }
        return ids;
    };
    const std::set<std::string> before = threads();
    const TestServer server(context::background(), answer_ok);
    int started = 0;
    for (const std::string& thread : threads()) {
        if (before.contains(thread)) continue;
        ++started;
        std::ifstream status(thread + "/status");
        std::string word, blocked;
        while (status >> word && word != "SigBlk:") continue;
        status >> blocked;
        const auto mask = std::stoull(blocked, nullptr, 16);
        for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPROF}) {
            CHECK((mask >> (signal - 1) & 1) == 1);
        }
    }
    CHECK(started >= 10);
    sigset_t ours;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &ours);
    CHECK(::sigismember(&ours, SIGTERM) == 0);
}

TEST_CASE("a fault of a handler raises its signal on the handler's thread") {
    sigset_t mask;
    const TestServer server(context::background(),
                            [&mask](auto&&...) { ::pthread_sigmask(SIG_BLOCK, nullptr, &mask); });
    CHECK_FALSE(http_get(context::background(), server.url()).error);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
        CHECK(::sigismember(&mask, fault) == 0);
    }
}

TEST_CASE("a client is answered whose descriptor has a number beyond a thousand") {
    rlimit before{}, more{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    more = before;
    more.rlim_cur = std::min<rlim_t>(4096, before.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &more);
    {
        const TestServer server(context::background(), answer_ok);
        const Socket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        std::vector<Socket> fillers;
        while (fillers.empty() || fillers.back().fd() < 1024) {
            fillers.emplace_back(::fcntl(client.fd(), F_DUPFD_CLOEXEC, 0));
            if (fillers.back().fd() < 0) break;  // no such number is to be had here
        }
        CHECK(connects(client, port_of(server)));
        client.send(get);
        if (fillers.back().fd() >= 0) CHECK(is_answered(client));
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("the context of a handler ends when the handler returns") {
    std::promise<Context> seen;
    const TestServer server(context::background(),
                            [&](const Context& ctx, const Request&, Response&) {
                                CHECK_FALSE(ctx.err());
                                seen.set_value(ctx);
                            });
    CHECK_FALSE(http_get(context::background(), server.url()).error);
    CHECK(context::wait(seen.get_future().get()) == context::errc::canceled);
}

TEST_CASE("the end of its parent tells a server's handlers why, and later requests get 503") {
    const auto [parent, cancel] = context::with_cancel(context::background());
    std::latch at_work(1);
    const TestServer server(parent, [&](const Context& ctx, const Request&, Response& response) {
        at_work.count_down();
        context::wait(ctx);
        response.set_content(cause(ctx).message(), "text/plain");
    });
    auto told = std::async([&] { return http_get(context::background(), server.url()); });
    at_work.wait();
    const auto why = std::make_error_code(std::errc::owner_dead);
    cancel(why);
    CHECK(told.get().response.body == why.message());
    CHECK(http_get(context::background(), server.url()).response.status == 503);
}

TEST_CASE("closing ends the handlers that wait on their context, and drops what is queued") {
    const Bounded bounded;
    std::atomic<int> handlers{0};
    std::latch first{1};
    const auto handler = [&](const Context& ctx, const Request&, Response& response) {
        if (++handlers == 1) first.count_down();
        CHECK(context::wait(ctx) == context::errc::canceled);
        CHECK(cause(ctx) == context::errc::canceled);
        response.status = 204;  // with nothing set, it would be a 503
    };
    TestServer server(context::background(), handler);
    const int descriptors = open_descriptors();
    std::vector<Socket> clients;
    for (int i = 0; i < 100; ++i) clients.push_back(client_of(server, get));
    first.wait();
    CHECK(wait_for([&] { return open_descriptors() == descriptors + 200; }));  // all are accepted
    server.close();
    CHECK(handlers < 100);
    for (const Socket& client : clients) CHECK(all_of(client).find("503") == std::string::npos);
}

TEST_CASE("a handler that is woken by the close can still answer") {
    const Bounded bounded;
    std::latch at_work(1);
    TestServer server(context::background(),
                      [&](const Context& ctx, const Request& request, Response& response) {
                          at_work.count_down();
                          context::wait(ctx);
                          answer_ok(ctx, request, response);
                      });
    const Socket client = client_of(server, get);
    at_work.wait();
    server.close();
    CHECK(is_answered(client));
}

TEST_CASE("a client is told of the end of its answer, even if it asks for the next at once") {
    const TestServer server(context::background(), answer_ok);
    for (int i = 0; i < 20; ++i) {
        const Socket client =
            client_of(server, "GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n" + get);
        CHECK(all_of(client).ends_with("ok"));
    }
}

TEST_CASE("hundreds of clients at once are all answered") {
    const TestServer server(context::background(), answer_ok);
    std::vector<Socket> clients;
    for (int i = 0; i < 300; ++i) clients.push_back(client_of(server, get));
    for (const Socket& client : clients) CHECK(is_answered(client));
}

TEST_CASE("a server can be moved") {
    TestServer first(context::background(), answer_ok);
    const TestServer server = std::move(first);
    CHECK(http_get(context::background(), server.url()).response.body == "ok");
}

TEST_CASE("a closed server leaves no descriptor and no thread behind") {
    {
        const TestServer warm_up(context::background(), answer_ok);
    }
    const int descriptors = open_descriptors();
    const int threads = running_threads();
    {
        const TestServer server(context::background(), answer_ok);
        CHECK_FALSE(http_get(context::background(), server.url()).error);
    }
    CHECK(open_descriptors() == descriptors);
    CHECK(wait_for([&] { return running_threads() == threads; }));
}
