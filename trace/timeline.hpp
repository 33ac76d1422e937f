// The picture of a run of context_cancel: who did what, and when.
#ifndef TRACE_TIMELINE_HPP
#define TRACE_TIMELINE_HPP

#include <array>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>
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
    enum Actor { fast_server, fast_client, main, slow_client, slow_server };

    // A Timeline that is not `on` gives out contexts without a trace, and draws nothing. It is made
    // on the thread of `main`.
    explicit Timeline(bool on);

    // traced returns a background() with a trace that ends here: give that of a server to it as its
    // parent, and make all calls with that of `main`.
    context::Context traced(Actor actor);

    // draw prints the picture, 80 columns wide: in colour if `out` is a terminal and the
    // environment has no NO_COLOR. Call it when all calls have returned and all servers are closed.
    void draw(std::FILE* out) const;

private:
    static constexpr std::size_t actors = 5;
    using Clock = std::chrono::steady_clock;
    using Step = HttpEvent::Step;

    struct Moment {
        Clock::time_point time;
        Step step;
        Actor actor;                // in whose lane it stands
        std::optional<Actor> from;  // on whose thread, if that is another actor's
        std::error_code err;
    };

    struct Life;
    std::array<Life, actors> lives() const;
    void record(Actor watched, const HttpEvent& event);
    std::optional<Actor> actor_of(Actor watched, const HttpEvent& event) const;

    const bool on_;
    const Clock::time_point start_ = Clock::now();
    std::mutex mutex_;
    std::array<std::thread::id, actors> threads_;  // where each was last seen at work
    std::array<std::string, actors> urls_;         // of the servers
    std::vector<Moment> moments_;
};

#endif  // TRACE_TIMELINE_HPP
