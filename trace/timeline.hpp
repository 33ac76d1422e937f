// The picture of a run of context_cancel: who did what, and when.
#ifndef TRACE_TIMELINE_HPP
#define TRACE_TIMELINE_HPP

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "context.hpp"
#include "net/http_trace.hpp"

// Timeline is told of the steps of a run through the contexts that it gives out, and draws them:
// one lane for each actor, time running down. It must outlive whatever uses those contexts. It
// remembers the first 1,000 steps.
class Timeline {
public:
    // Actor is one lane; this is their order. A client is the thread that calls the server beside
    // its lane.
    enum class Actor { fast_server, fast_client, main, slow_client, slow_server };

    using Clock = std::chrono::steady_clock;

    // A Timeline that is not `on` gives out contexts without a trace, and draws nothing. It is made
    // on the thread of `main`.
    explicit Timeline(bool on, std::function<Clock::time_point()> now = Clock::now);

    // traced returns a background() whose trace reports to this Timeline. Give that of a server to
    // it as its parent; derive one context from that of `main`, and make all calls with that one.
    context::Context traced(Actor actor);

    // draw prints the picture, 80 columns wide: in colour if `out` is a terminal and the
    // environment has no NO_COLOR. Call it when all calls have returned and all servers are closed.
    void draw(std::FILE* out) const;

private:
    static constexpr std::size_t actors = 5;
    using Step = HttpEvent::Step;

    struct Moment {
        Clock::time_point time;
        std::optional<Step> step;   // none: it cancels, and reaches nobody
        Actor actor;                // in whose lane it stands
        std::optional<Actor> from;  // whom its arrow comes from
        std::error_code err;        // of the context
    };

    struct Life;
    std::array<Life, actors> lives() const;
    void record(Actor watched, const HttpEvent& event);
    void watch_cancel(const context::Context& ctx);
    void record_cancel(const context::Context& ctx);
    std::optional<Actor> actor_of(Actor watched, const HttpEvent& event) const;
    std::optional<Actor> actor_here() const;
    void add(const Moment& moment);

    const bool on_;
    const std::function<Clock::time_point()> now_;
    const Clock::time_point start_ = now_();
    std::mutex mutex_;                             // guards what follows, until draw
    std::array<std::thread::id, actors> threads_;  // where each was last seen at work
    std::array<std::string, actors> urls_;         // of the servers
    std::vector<Moment> moments_;
    bool incomplete_ = false;
    bool stop_reached_a_call_ = false;

    std::once_flag cancel_watched_;
    std::optional<std::stop_callback<std::function<void()>>> on_cancel_;  // of the calls' context
};

#endif  // TRACE_TIMELINE_HPP
