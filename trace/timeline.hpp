// A picture of a run of context_cancel: which actor did what, and when.
#ifndef TRACE_TIMELINE_HPP
#define TRACE_TIMELINE_HPP

#include <array>
#include <chrono>
#include <cstdio>
#include <deque>
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

// Timeline records the steps of a run and draws them: one lane for each actor, time running down.
// It learns of them through root(), and must outlive all servers and calls that derive from it. It
// keeps the first 1,000 steps.
class Timeline {
public:
    // Each Actor has a lane; this is their order. A client is the thread that calls the server
    // beside it.
    enum class Actor { fast_server, fast_client, main, slow_client, slow_server };

    using Clock = std::chrono::steady_clock;

    // A Timeline that is not `on` records and draws nothing. Make it on the thread of main.
    explicit Timeline(bool on, std::function<Clock::time_point()> now = Clock::now);

    // root returns background(). If this Timeline is on, it carries an HttpTrace that reports here.
    // Derive both servers from it, and one context for all calls. The first server that listens is
    // the slow one, the second is the fast one; steps of others are not recorded.
    context::Context root();

    // draw prints the picture, 80 columns wide: in colour if `out` is a terminal and the
    // environment has no NO_COLOR. If calls were stopped, a line of figures follows: the time from
    // the cancel until the last call was stopped, the last was aborted, and the last handler was
    // told. Call it when all calls have returned and all servers are closed.
    void draw(std::FILE* out) const;

private:
    static constexpr std::size_t actors = 5;
    using Step = HttpEvent::Step;

    struct Moment {
        Clock::time_point time;
        std::optional<Step> step;   // none: it cancels
        Actor actor;                // in whose lane it stands
        std::optional<Actor> from;  // in whose lane its arrow begins
        std::error_code err;        // of the context
    };

    struct Lane {
        std::string url;         // of a server that has listened
        std::thread::id thread;  // where the actor was last seen at work
        bool calling = false;    // a client, from call_started to its last step
    };

    void record(const HttpEvent& event);
    void watch_cancel(const context::Context& ctx);
    void record_cancel(const context::Context& ctx);
    void add(const Moment& moment);
    void know_server(const std::string& url);
    std::optional<Actor> actor_of(const HttpEvent& event) const;
    std::optional<Actor> actor_here() const;
    std::optional<Actor> cause_of(Step step, Actor actor) const;
    std::vector<Moment> rows() const;
    std::string figures() const;

    const bool on_;
    const std::function<Clock::time_point()> now_;
    const Clock::time_point start_ = now_();
    std::mutex mutex_;  // guards the next four members, until draw
    std::array<Lane, actors> lanes_;
    std::vector<Moment> moments_;
    bool incomplete_ = false;
    std::optional<Clock::time_point> cancelled_at_;

    std::mutex watching_;  // guards on_cancel_; never taken while mutex_ is held
    std::deque<std::stop_callback<std::function<void()>>> on_cancel_;  // of the calls' context
};

#endif  // TRACE_TIMELINE_HPP
