// Thousands of requests that end at random moments in every phase: by a cancel, a deadline, their
// server, or not at all. Each must return what its plan allows, and all must be in the books.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <CLI/CLI.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "net/http_get.hpp"
#include "net/test_server.hpp"
#include "tests/loopback.hpp"

using namespace std::chrono_literals;

namespace {

enum Server { raw, full, refusing, handling, closing };
enum Ending { untouched, cancelled, deadline, cancelled_by_peer, closed, reset };
enum Stage { accepted, asked, in_headers, headers_sent, in_body, whole };
enum Framing { declared, chunked, undeclared };

constexpr std::array server_names{"raw", "full", "refusing", "handling", "closing"};
constexpr std::array ending_names{"untouched",         "cancelled", "deadline",
                                  "cancelled by peer", "closed",    "reset"};
constexpr std::array stage_names{"accepted",     "asked",   "in the headers",
                                 "headers sent", "in body", "whole"};
constexpr std::array framing_names{"declared", "chunked", "undeclared"};

// Plan is what is to happen to a request; `stage` and `framing` are of interest to a raw server.
struct Plan {
    Server server;
    Ending ending;
    Stage stage;
    Framing framing;
    std::chrono::microseconds moment;
    std::string body;
    std::array<std::string, 4> pieces;  // of the answer: two of the head, two of the body

    std::string text() const {
        return std::string(server_names[server]) + " server, " + ending_names[ending] + " after " +
               std::to_string(moment.count()) + " us, " + stage_names[stage] + ", " +
               framing_names[framing] + " body of " + std::to_string(body.size());
    }
};

std::string chunk(const std::string& data) {
    std::array<char, 20> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
    return size.data() + data + "\r\n";
}

// make_plan is a function of its arguments alone, whichever thread asks.
Plan make_plan(std::uint64_t seed, std::uint64_t number) {
    std::seed_seq sequence{seed & 0xffffffff, seed >> 32, number};
    std::mt19937 random(sequence);
    const auto below = [&random](unsigned limit) {
        return static_cast<unsigned>(random() % limit);
    };
    Plan plan{};
    const unsigned kind = below(100);
    plan.server = kind < 70   ? raw
                  : kind < 80 ? full
                  : kind < 85 ? refusing
                  : kind < 97 ? handling
                              : closing;
    const unsigned endings = plan.server == raw ? 6 : 3;
    plan.ending = static_cast<Ending>(below(endings));
    if (plan.server == full && plan.ending == untouched) plan.ending = deadline;
    if (plan.server == closing && plan.ending == cancelled) plan.ending = untouched;
    plan.stage = static_cast<Stage>(below(6));
    plan.framing = static_cast<Framing>(below(3));
    plan.moment = std::chrono::microseconds(below(5) == 0 ? 0 : below(2000));
    plan.body.resize(2 + (below(2) == 0 ? below(100) : below(200'000)));
    for (char& byte : plan.body) byte = static_cast<char>('a' + below(26));

    std::string head = "HTTP/1.1 200 OK\r\nX-Filler: " + std::string(below(3000), 'x') + "\r\n";
    if (plan.framing == declared) {
        head += "Content-Length: " + std::to_string(plan.body.size()) + "\r\n";
    }
    if (plan.framing == chunked) head += "Transfer-Encoding: chunked\r\n";
    head += "\r\n";
    const std::size_t head_cut = 1 + below(static_cast<unsigned>(head.size()) - 1);
    const std::size_t body_cut = 1 + below(static_cast<unsigned>(plan.body.size()) - 1);
    plan.pieces = {head.substr(0, head_cut), head.substr(head_cut), plan.body.substr(0, body_cut),
                   plan.body.substr(body_cut)};
    if (plan.framing == chunked) {
        // Not cut inside the line end of a chunk: see tests/library_faults/cut_line_end.cpp.
        const std::string encoded = chunk(plan.body);
        const std::size_t cut = encoded.find('\n') + 1 + body_cut;
        plan.pieces[2] = encoded.substr(0, cut);
        plan.pieces[3] = encoded.substr(cut) + "0\r\n\r\n";
    }
    return plan;
}

// Exchange is a request that is under way, as its server sees it.
struct Exchange {
    Plan plan;
    context::Cancellable made;
};

// Peer is the raw server of one client thread. A client that has gone before it was accepted is
// served what is meant for the next one.
class Peer {
public:
    std::string url() const { return listener_.url(); }
    ~Peer() { listener_.shut_down(); }

    void expect(std::shared_ptr<const Exchange> next) {
        const std::lock_guard lock(mutex_);
        next_ = std::move(next);
    }

private:
    void run() {
        for (;;) {
            Socket client = listener_.accept();
            if (client.fd() < 0) return;
            std::unique_lock lock(mutex_);
            const std::shared_ptr<const Exchange> exchange = next_;
            lock.unlock();
            if (exchange) serve(client, *exchange);
        }
    }

    static void serve(Socket& client, const Exchange& exchange) {
        const Plan& plan = exchange.plan;
        for (unsigned stage = accepted;; ++stage) {
            if (stage == plan.stage) {
                if (plan.ending == closed) return;
                if (plan.ending == reset) return client.reset();
                if (plan.ending == cancelled_by_peer) exchange.made.cancel();
                const bool stalls = plan.ending == cancelled || plan.ending == deadline;
                while (stalls && stage != whole && !client.peer_has_closed()) continue;
            }
            if (stage == whole) return;
            if (stage == accepted) {
                client.read_until("\r\n\r\n");
            } else {
                client.send(plan.pieces[stage - 1]);
            }
        }
    }

    Listener listener_;
    std::mutex mutex_;
    std::shared_ptr<const Exchange> next_;
    std::jthread thread_{[this] { run(); }};
};

// RefusingPort is bound, so that nobody else has it, and does not listen.
class RefusingPort {
public:
    RefusingPort() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const any = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        if (::bind(socket_.fd(), any, size) < 0 || ::getsockname(socket_.fd(), any, &size) < 0) {
            throw std::system_error(errno, std::generic_category(), "bind");
        }
        url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    }
    const std::string& url() const { return url_; }

private:
    Socket socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string url_;
};

struct Books {
    std::atomic<std::uint64_t> started, succeeded, failed, cancelled, wrong;
    std::uint64_t finished() const { return succeeded + failed + cancelled; }
};

// wrong_with says what is wrong with the result; empty if the plan allows it.
std::string wrong_with(const Plan& plan, const HttpResult& result, std::error_code ended) {
    const bool stops = plan.ending == cancelled || plan.ending == deadline;
    const bool is_cancelled = result.error && ended && result.error->reason == ended.message();
    if (is_cancelled) {
        return stops || plan.ending == cancelled_by_peer ? "" : "cancelled by nobody";
    }
    if (result.error) {
        const bool peer_ends = plan.server == refusing || plan.server == closing ||
                               plan.ending == closed || plan.ending == reset;
        return peer_ends ? "" : "failed: " + result.error->message();
    }
    if (plan.server == full || plan.server == refusing) return "a success without a connection";
    if (plan.server == closing) {
        return result.response.body == "told" || result.response.status == 503 ? ""
                                                                               : "another body";
    }
    const bool may_be_part = plan.framing == undeclared && plan.ending == closed;
    if (may_be_part ? !plan.body.starts_with(result.response.body)
                    : result.response.body != plan.body) {
        return "a success with " + std::to_string(result.response.body.size()) + " bytes";
    }
    if (plan.server == raw && plan.ending != untouched && plan.stage != whole && !may_be_part) {
        return "a success without the end of the answer";
    }
    return "";
}

class Client {
public:
    void request(std::uint64_t number, std::uint64_t seed, const FullListener& full_listener,
                 const RefusingPort& refusing_port, const TestServer& server, Books& books) {
        const auto exchange = std::make_shared<const Exchange>(start(make_plan(seed, number)));
        const auto& [plan, made] = *exchange;
        {
            const std::lock_guard lock(mutex_);
            doing_ = std::to_string(number) + ": " + plan.text();
        }
        ++books.started;
        std::optional<TestServer> short_lived;
        if (plan.server == closing) {
            const auto handler = [](const context::Context& ctx, const httplib::Request&,
                                    httplib::Response& response) {
                context::wait(ctx);
                response.set_content("told", "text/plain");
            };
            short_lived.emplace(context::background(), handler);
        }
        peer_.expect(exchange);
        const std::array urls{peer_.url(), full_listener.url(), refusing_port.url(),
                              server.url() + '/' + std::to_string(number),
                              short_lived ? short_lived->url() : ""};

        std::jthread other;
        if (plan.server == closing) {
            other = std::jthread([&] {
                std::this_thread::sleep_for(plan.moment);
                short_lived->close();
            });
        } else if (plan.ending == cancelled && plan.moment == 0us) {
            made.cancel();
        } else if (plan.ending == cancelled) {
            other = std::jthread([&] {
                std::this_thread::sleep_for(plan.moment);
                made.cancel();
            });
        }
        const std::error_code ended_before = made.ctx.err();
        const HttpResult result = http_get(made.ctx, urls[plan.server]);
        const std::error_code ended = made.ctx.err();

        const bool is_cancelled = result.error && ended && result.error->reason == ended.message();
        ++(is_cancelled ? books.cancelled : result.error ? books.failed : books.succeeded);
        std::string wrong = wrong_with(plan, result, ended);
        if (ended_before && !is_cancelled) wrong = "not cancelled, though it was before the call";
        if (wrong.empty()) return;
        ++books.wrong;
        std::fprintf(stderr, "request %s: %s\n", doing().c_str(), wrong.c_str());
    }

    std::string doing() const {
        const std::lock_guard lock(mutex_);
        return doing_;
    }

private:
    static Exchange start(Plan plan) {
        auto made = plan.ending == deadline
                        ? context::with_timeout(context::background(), plan.moment)
                        : context::with_cancel(context::background());
        return {std::move(plan), std::move(made)};
    }

    Peer peer_;
    mutable std::mutex mutex_;
    std::string doing_;
};

// watch aborts when no request has ended for two minutes.
void watch(const std::stop_token& stop, const std::vector<Client>& clients, const Books& books) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    std::uint64_t before = books.finished();
    while (!wake.wait_for(lock, stop, 2min, [&stop] { return stop.stop_requested(); })) {
        if (books.finished() == before) {
            std::fprintf(stderr,
                         "no request has ended for two minutes; the last of each client:\n");
            for (const Client& client : clients)
                std::fprintf(stderr, "%s\n", client.doing().c_str());
            std::abort();
        }
        before = books.finished();
    }
}

void run(std::uint64_t requests, std::uint64_t seed, Books& books) {
    const FullListener full_listener;
    const RefusingPort refusing_port;
    const TestServer server(context::background(), [seed](const context::Context&,
                                                          const httplib::Request& request,
                                                          httplib::Response& res) {
        res.set_content(make_plan(seed, std::stoull(request.path.substr(1))).body, "text/plain");
    });
    std::vector<Client> clients(16);
    const std::jthread watchdog([&](const std::stop_token& stop) { watch(stop, clients, books); });
    std::atomic<std::uint64_t> next = 0;
    std::vector<std::jthread> threads;
    for (Client& client : clients) {
        threads.emplace_back([&] {
            for (std::uint64_t number = next++; number < requests; number = next++) {
                client.request(number, seed, full_listener, refusing_port, server, books);
            }
        });
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t requests = 10'000;
    std::random_device device;
    std::uint64_t seed = std::uint64_t{device()} << 32 | device();
    CLI::App app("Ends requests at random moments, and checks what becomes of each.",
                 "http_stress");
    app.add_option("--requests", requests, "how many [10000]");
    app.add_option("--seed", seed, "repeats the plans of an earlier run [random]");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);

    Books warm_up{};
    run(200, seed + 1, warm_up);
    const int descriptors = open_descriptors();
    const int threads = running_threads();
    Books books{};
    run(requests, seed, books);

    const bool as_before =
        wait_for([&] { return running_threads() == threads; }) && open_descriptors() == descriptors;
    std::printf("%llu requests: %llu succeeded, %llu failed, %llu cancelled; seed %llu; ",
                static_cast<unsigned long long>(books.started),
                static_cast<unsigned long long>(books.succeeded),
                static_cast<unsigned long long>(books.failed),
                static_cast<unsigned long long>(books.cancelled),
                static_cast<unsigned long long>(seed));
    if (as_before) {
        std::printf("descriptors and threads as before\n");
    } else {
        std::printf("descriptors %d, before %d; threads %d, before %d\n", open_descriptors(),
                    descriptors, running_threads(), threads);
    }
    const bool balanced = books.started == requests && books.finished() == requests;
    if (!balanced) std::printf("the books do not balance\n");
    return as_before && balanced && books.wrong + warm_up.wrong == 0 ? 0 : 1;
}
