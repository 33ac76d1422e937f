#include "net/lookup.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "net/signals_blocked.hpp"
#include "net/url.hpp"

namespace {

constexpr int most_threads = 64;

// Answer is what getaddrinfo returned: 0 and addresses, or an error. For EAI_SYSTEM, system_error
// is errno.
struct Answer {
    int error;
    int system_error;
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses;
};

Answer ask(const std::string& host, int flags) noexcept {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* addresses = nullptr;
    const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &addresses);
    return {error, errno, {addresses, ::freeaddrinfo}};
}

Lookup failed(const std::string& host, const std::string& reason) {
    return {{}, "could not look up " + quote(host) + ": " + reason};
}

Lookup to_lookup(const std::string& host, const Answer& answer) {
    if (answer.error == EAI_MEMORY) throw std::bad_alloc();
    if (answer.error == EAI_SYSTEM) {
        return failed(host, std::generic_category().message(answer.system_error));
    }
    if (answer.error != 0) return failed(host, ::gai_strerror(answer.error));
    Lookup found;
    for (const addrinfo* at = answer.addresses.get(); at; at = at->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        const int error = ::getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), text.size(),
                                        nullptr, 0, NI_NUMERICHOST);
        if (error != 0) return failed(host, ::gai_strerror(error));
        found.addresses.emplace_back(text.data());
    }
    return found;
}

// Asking counts the threads that ask. It is never destroyed, because abandoned ones may end while
// the process exits.
struct Asking {
    std::mutex mutex;  // of all members, and of the answers
    std::condition_variable_any room;
    int threads = 0;
};

Asking& asking() {
    static Asking& it = *new Asking;
    return it;
}

// Question is shared by a call of lookup and its thread. The later of the two destroys it.
struct Question {
    explicit Question(std::string host_name) : host(std::move(host_name)) {}

    const std::string host;
    std::optional<Answer> answer;
    std::condition_variable_any answered;
};

// start starts the thread that asks. The caller holds the mutex.
void start(const std::shared_ptr<Question>& question) {
    const SignalsBlocked blocked;
    std::thread([question] {
        Answer answer = ask(question->host, 0);
        const std::lock_guard lock(asking().mutex);
        question->answer = std::move(answer);
        question->answered.notify_all();
        --asking().threads;
        asking().room.notify_all();  // not one, which may have given up
    }).detach();
    ++asking().threads;
}

}  // namespace

Lookup lookup(const context::Context& ctx, const std::string& host) {
    if (same_word(host, "localhost")) return {{"::1", "127.0.0.1"}, {}};
    if (const Answer address = ask(host, AI_NUMERICHOST); address.error != EAI_NONAME) {
        return to_lookup(host, address);
    }

    const auto question = std::make_shared<Question>(host);
    std::unique_lock lock(asking().mutex);
    asking().room.wait(lock, ctx.done(), [] { return asking().threads < most_threads; });
    if (const std::error_code err = ctx.err()) return {{}, err.message()};
    try {
        start(question);
    } catch (const std::system_error& error) {
        return failed(host, "could not start a thread: " + error.code().message());
    }
    question->answered.wait(lock, ctx.done(), [&] { return question->answer.has_value(); });
    if (!question->answer) return {{}, ctx.err().message()};
    lock.unlock();
    return to_lookup(host, *question->answer);
}
