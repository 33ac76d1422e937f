#include "trace/timeline.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

using context::Context;

namespace {

using Step = HttpEvent::Step;
using Actor = Timeline::Actor;
using std::chrono::milliseconds;

constexpr std::size_t most_moments = 1000;
constexpr std::size_t first_lane = 10;  // after the time
constexpr std::size_t lane_width = 14;
constexpr std::size_t width = 80;
constexpr std::array<const char*, 5> names{"fast server", "fast client", "main", "slow client",
                                           "slow server"};
constexpr auto long_pause = milliseconds(50);

constexpr const char* red = "\x1b[31m";
constexpr const char* bold = "\x1b[1m";
constexpr const char* plain = "\x1b[0m";

bool is_server(Actor actor) { return actor == Actor::fast_server || actor == Actor::slow_server; }
Actor client_of(Actor server) {
    return server == Actor::fast_server ? Actor::fast_client : Actor::slow_client;
}
Actor server_of(Actor client) {
    return client == Actor::fast_client ? Actor::fast_server : Actor::slow_server;
}

std::size_t index(Actor actor) { return static_cast<std::size_t>(actor); }
std::size_t column(Actor actor) { return first_lane + lane_width * index(actor); }

bool in_colour(std::FILE* out) {
    const char* const no_colour = std::getenv("NO_COLOR");
    return ::isatty(::fileno(out)) == 1 && (!no_colour || !*no_colour);
}

// Words say what a step is called in its lane, and in the lane that its arrow comes from.
struct Words {
    const char* here;
    const char* there = nullptr;
};

Words words(std::optional<Step> step, std::error_code err) {
    if (!step) return {"cancels"};
    switch (*step) {
        case Step::call_started:
            return {"starts"};
        case Step::connecting:
            return {"connects"};
        case Step::got_response:
            return {"received", "sent"};
        case Step::call_stopped:
            return {err == context::errc::deadline_exceeded ? "deadline" : "stopped", "cancels"};
        case Step::call_returned:
            return {"done"};
        case Step::call_failed:
            return {"failed"};
        case Step::call_aborted:
            return {"aborted"};
        case Step::listening:
            return {"listening", "starts"};
        case Step::got_request:
            return {"received", "sent"};
        case Step::handler_stopped:
            return {err == context::errc::deadline_exceeded ? "deadline" : "stopped", "cancels"};
        case Step::handler_returned:
            return {err ? "returns" : "answers"};
        case Step::closing:
            return {"closing", "closes"};
        case Step::closed:
            return {"closed"};
    }
    return {};
}

void write(std::string& line, std::size_t at, std::string_view text) {
    line.replace(at, text.size(), text);
}

// write_arrow leads from the word `there` in the lane of `from` to the word `here` in that of `to`.
void write_arrow(std::string& line, Actor from, std::string_view there, Actor to,
                 std::string_view here) {
    const bool to_the_right = from < to;
    const std::size_t begin = to_the_right ? column(from) + there.size() : column(to) + here.size();
    const std::size_t end = column(to_the_right ? to : from);
    write(line, begin, ' ' + std::string(end - begin - 2, '-') + ' ');
    line[to_the_right ? end - 2 : begin + 1] = to_the_right ? '>' : '<';
}

std::string milliseconds_text(std::chrono::duration<double, std::milli> time) {
    std::array<char, 32> text{};
    const char* const format = time.count() < 1e5 ? "%8.2f" : "%8.0f";
    std::snprintf(text.data(), text.size(), format, time.count());
    return text.data();
}

bool belongs_to_a_stop(std::optional<Step> step) {
    return !step || step == Step::call_stopped || step == Step::call_aborted ||
           step == Step::handler_stopped;
}

}  // namespace

Timeline::Timeline(bool on, std::function<Clock::time_point()> now)
    : on_(on), now_(std::move(now)) {
    threads_[index(Actor::main)] = std::this_thread::get_id();
    if (on_) moments_.reserve(most_moments);
}

Context Timeline::traced(Actor actor) {
    if (!on_) return context::background();
    return context::with_value(context::background(), http_trace,
                               [this, actor](const HttpEvent& event) { record(actor, event); });
}

void Timeline::record(Actor watched, const HttpEvent& event) {
    if (event.step == Step::call_started) watch_cancel(event.ctx);
    const std::lock_guard lock(mutex_);
    if (event.step == Step::listening) urls_[index(watched)] = event.url;
    const std::optional<Actor> actor = actor_of(watched, event);
    if (!actor) return;
    if (event.step == Step::call_started || event.step == Step::got_request) {
        // The system may have given it the number of a thread that has ended.
        std::ranges::replace(threads_, std::this_thread::get_id(), std::thread::id());
        threads_[index(*actor)] = std::this_thread::get_id();
    }
    std::optional<Actor> from;
    if (event.step == Step::got_request) {
        from = client_of(*actor);
    } else if (event.step == Step::got_response) {
        from = server_of(*actor);
    } else if (words(event.step, {}).there) {
        from = actor_here();
    }
    if (from == actor) from.reset();
    if (event.step == Step::call_stopped && from) stop_reached_a_call_ = true;
    add({now_(), event.step, *actor, from, event.ctx.err()});
}

// watch_cancel is called first by the first call: all calls share one context.
void Timeline::watch_cancel(const Context& ctx) {
    std::call_once(cancel_watched_, [&] {
        if (!ctx.err()) on_cancel_.emplace(ctx.done(), [this, ctx] { record_cancel(ctx); });
    });
}

// record_cancel runs on the thread that cancels. The calls that the cancel stops have been recorded
// before: they register later, and libstdc++ calls first what was registered last.
void Timeline::record_cancel(const Context& ctx) {
    const std::lock_guard lock(mutex_);
    const std::optional<Actor> actor = actor_here();
    if (stop_reached_a_call_ || !actor || ctx.err() != context::errc::canceled) return;
    add({now_(), std::nullopt, *actor, std::nullopt, ctx.err()});
}

// add is called in the middle of a cancel, and must not throw.
void Timeline::add(const Moment& moment) {
    if (moments_.size() < most_moments) {
        moments_.push_back(moment);
    } else {
        incomplete_ = true;
    }
}

std::optional<Actor> Timeline::actor_here() const {
    const auto thread = std::ranges::find(threads_, std::this_thread::get_id());
    if (thread == threads_.end()) return std::nullopt;
    return static_cast<Actor>(thread - threads_.begin());
}

// actor_of says in whose lane a step stands: that of the server which tells it, or that of the
// client of the server which is called.
std::optional<Actor> Timeline::actor_of(Actor watched, const HttpEvent& event) const {
    if (is_server(watched)) return watched;
    const std::string_view url = event.url;
    for (const Actor server : {Actor::fast_server, Actor::slow_server}) {
        const std::string_view known = urls_[index(server)];
        const bool same = !known.empty() && url.starts_with(known);
        const std::string_view rest = url.substr(same ? known.size() : 0);
        if (same && (rest.empty() || rest.find_first_of("/?#") == 0)) return client_of(server);
    }
    return std::nullopt;
}

// Life is the rows from the first to the last in which an actor has a part.
struct Timeline::Life {
    std::size_t first = ~std::size_t{0}, last = 0;
};

std::array<Timeline::Life, Timeline::actors> Timeline::lives() const {
    std::array<Life, actors> lives;
    for (std::size_t row = 0; row < moments_.size(); ++row) {
        const Moment& moment = moments_[row];
        for (const Actor actor : {moment.actor, moment.from.value_or(moment.actor)}) {
            lives[index(actor)].first = std::min(lives[index(actor)].first, row);
            lives[index(actor)].last = row;
        }
    }
    return lives;
}

void Timeline::draw(std::FILE* out) const {
    if (!on_) return;
    const bool colour = in_colour(out);
    const auto print = [&](const char* style, std::string line) {
        line.erase(line.find_last_not_of(' ') + 1);
        const bool styled = colour && *style;
        std::fprintf(out, "%s%s%s\n", styled ? style : "", line.c_str(), styled ? plain : "");
    };

    std::string header(width, ' ');
    write(header, 6, "ms");
    for (std::size_t i = 0; i < actors; ++i) write(header, column(static_cast<Actor>(i)), names[i]);
    print(bold, header);

    const std::array<Life, actors> lives = this->lives();
    const auto lanes = [&](std::size_t row, char bar) {
        std::string line(width, ' ');
        for (std::size_t i = 0; i < actors; ++i) {
            const bool alive = lives[i].first < row && row <= lives[i].last;
            if (alive) line[column(static_cast<Actor>(i))] = bar;
        }
        return line;
    };
    Clock::time_point before = start_;
    for (std::size_t row = 0; row < moments_.size(); ++row) {
        const auto& [time, step, actor, from, err] = moments_[row];
        const std::string pause = lanes(row, ':');
        if (time - before > long_pause && pause.find(':') != std::string::npos) print("", pause);
        before = time;

        std::string line = lanes(row, '|');
        write(line, 0, milliseconds_text(time - start_));
        const auto [here, there] = words(step, err);
        write(line, column(actor), here);
        if (from) {
            write(line, column(*from), there);
            write_arrow(line, *from, there, actor, here);
        }
        print(belongs_to_a_stop(step) ? red : "", line);
    }
    if (incomplete_) print("", "(there was more)");
}
