#include "trace/timeline.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

using context::Context;

namespace {

using Step = HttpEvent::Step;
using Actor = Timeline::Actor;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::size_t most_moments = 1000;
constexpr std::size_t first_lane = 10;  // after the time
constexpr std::size_t lane_width = 14;
constexpr std::size_t width = 80;
constexpr std::array<const char*, 5> names{"fast server", "fast client", "main", "slow client",
                                           "slow server"};
constexpr Milliseconds long_pause(50);

constexpr const char* red = "\x1b[31m";
constexpr const char* bold = "\x1b[1m";
constexpr const char* plain = "\x1b[0m";

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

bool is_of_a_server(Step step) { return step >= Step::listening; }

bool ends_a_call(Step step) {
    return step == Step::call_returned || step == Step::call_failed || step == Step::call_aborted;
}

bool belongs_to_a_cancel(std::optional<Step> step) {
    return !step || step == Step::call_stopped || step == Step::call_aborted ||
           step == Step::handler_stopped;
}

// Words say what a step is called in its lane, and in the lane in which its arrow begins.
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
            return {"returned"};
        case Step::call_failed:
            return {"failed"};
        case Step::call_aborted:
            return {"aborted"};
        case Step::listening:
            return {"listening", "starts"};
        case Step::got_request:
            return {"received", "sent"};
        case Step::handler_stopped:
            return {"told", "cancels"};
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

std::string text_of(Milliseconds time, int columns = 0) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%*.*f", columns, time.count() < 1e5 ? 2 : 0,
                  time.count());
    return text.data();
}

}  // namespace

Timeline::Timeline(bool on, std::function<Clock::time_point()> now)
    : on_(on), now_(std::move(now)) {
    lanes_[index(Actor::main)].thread = std::this_thread::get_id();
    if (on_) moments_.reserve(most_moments);
}

Context Timeline::root() {
    if (!on_) return context::background();
    return context::with_value(context::background(), http_trace,
                               [this](const HttpEvent& event) { record(event); });
}

void Timeline::record(const HttpEvent& event) {
    {
        const std::lock_guard lock(mutex_);
        if (event.step == Step::listening) know_server(event.url);
        const std::optional<Actor> actor = actor_of(event);
        if (!actor) return;
        Lane& lane = lanes_[index(*actor)];
        if (event.step == Step::call_started || event.step == Step::got_request) {
            // The system may have given this thread the number of one that has ended.
            const std::thread::id here = std::this_thread::get_id();
            for (Lane& other : lanes_) {
                if (other.thread == here) other.thread = {};
            }
            lane.thread = here;
        }
        add({now_(), event.step, *actor, cause_of(event.step, *actor), event.ctx.err()});
        if (event.step == Step::call_started) lane.calling = true;
        if (ends_a_call(event.step)) lane.calling = false;
    }
    if (event.step == Step::call_started || event.step == Step::connecting) watch_cancel(event.ctx);
}

// watch_cancel has record_cancel called once ctx is done. The standard libraries call first what
// was registered last. So one that is registered when a call connects runs before that call is
// stopped, and its time is that of the cancel.
void Timeline::watch_cancel(const Context& ctx) {
    const std::lock_guard lock(watching_);
    on_cancel_.emplace_back(ctx.done(), [this, ctx] { record_cancel(ctx); });
}

// record_cancel runs on the thread that cancels. If ctx is done already, it runs inside
// watch_cancel, on a thread that is making a call. That thread did not cancel, so it gets no row.
void Timeline::record_cancel(const Context& ctx) {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = now_();
    if (!cancelled_at_) cancelled_at_ = now;
    const std::optional<Actor> actor = actor_here();
    if (!actor || lanes_[index(*actor)].calling || ctx.err() != context::errc::canceled) return;
    const bool known = std::ranges::any_of(moments_, [](const Moment& m) { return !m.step; });
    if (!known) add({now, std::nullopt, *actor, std::nullopt, ctx.err()});
}

// add is called in the middle of a cancel, and must not throw.
void Timeline::add(const Moment& moment) {
    if (moments_.size() < most_moments) {
        moments_.push_back(moment);
    } else {
        incomplete_ = true;
    }
}

// know_server gives a server that listens the first lane that is free, or is its own.
void Timeline::know_server(const std::string& url) {
    for (const Actor server : {Actor::slow_server, Actor::fast_server}) {
        std::string& known = lanes_[index(server)].url;
        if (known.empty()) known = url;
        if (known == url) return;
    }
}

// actor_of returns the lane of a step: the server's for a step of TestServer, otherwise that of its
// client.
std::optional<Actor> Timeline::actor_of(const HttpEvent& event) const {
    for (const Actor server : {Actor::slow_server, Actor::fast_server}) {
        const std::string& known = lanes_[index(server)].url;
        if (known.empty() || !event.url.starts_with(known)) continue;
        const std::string_view rest = std::string_view(event.url).substr(known.size());
        if (!rest.empty() && rest.find_first_of("/?#") != 0) continue;
        return is_of_a_server(event.step) ? server : client_of(server);
    }
    return std::nullopt;
}

std::optional<Actor> Timeline::actor_here() const {
    const auto lane = std::ranges::find(lanes_, std::this_thread::get_id(), &Lane::thread);
    if (lane == lanes_.end()) return std::nullopt;
    return static_cast<Actor>(lane - lanes_.begin());
}

// cause_of says in whose lane the arrow to a step begins, if it has one. A server may read what an
// aborted call had sent: no arrow leaves the lane of a client after its call has returned.
std::optional<Actor> Timeline::cause_of(Step step, Actor actor) const {
    if (step == Step::got_response) return server_of(actor);
    if (step == Step::got_request) {
        const Actor client = client_of(actor);
        return lanes_[index(client)].calling ? std::optional(client) : std::nullopt;
    }
    const std::optional<Actor> here = actor_here();
    return words(step, {}).there && here != actor ? here : std::nullopt;
}

// rows are the moments, without that of the cancel if an arrow shows it.
std::vector<Timeline::Moment> Timeline::rows() const {
    std::vector<Moment> rows = moments_;
    const auto shows_cancel = [](const Moment& m) {
        return m.step == Step::call_stopped && m.from;
    };
    if (std::ranges::any_of(rows, shows_cancel)) {
        std::erase_if(rows, [](const Moment& m) { return !m.step; });
    }
    return rows;
}

std::string Timeline::figures() const {
    std::vector<std::pair<Moment, const char*>> ends;
    const auto add_last = [&](Step step, const char* name) {
        const auto is_such = [step](const Moment& m) { return m.step == step; };
        const auto last = std::find_if(moments_.rbegin(), moments_.rend(), is_such);
        if (last != moments_.rend()) ends.emplace_back(*last, name);
        return last != moments_.rend();
    };
    if (!cancelled_at_ || !add_last(Step::call_stopped, " -> stopped ")) return "";
    add_last(Step::call_aborted, " -> aborted ");
    add_last(Step::handler_stopped, " -> server told ");
    const bool deadline = ends[0].first.err == context::errc::deadline_exceeded;
    std::ranges::sort(ends, {}, [](const auto& end) { return end.first.time; });
    std::string text = deadline ? "deadline 0.00" : "cancel 0.00";
    for (const auto& [moment, name] : ends) text += name + text_of(moment.time - *cancelled_at_);
    return text + " ms";
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

    // A lane has a bar between the first and the last row in which its actor has a part.
    struct Life {
        std::size_t first = ~std::size_t{0}, last = 0;
    };
    const std::vector<Moment> rows = this->rows();
    std::array<Life, actors> lives;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        for (const Actor actor : {rows[row].actor, rows[row].from.value_or(rows[row].actor)}) {
            Life& life = lives[index(actor)];
            life = {std::min(life.first, row), row};
        }
    }
    const auto lanes = [&](std::size_t row, char bar) {
        std::string line(width, ' ');
        for (std::size_t i = 0; i < actors; ++i) {
            const bool alive = lives[i].first < row && row <= lives[i].last;
            if (alive) line[column(static_cast<Actor>(i))] = bar;
        }
        return line;
    };

    Clock::time_point before = start_;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const auto& [time, step, actor, from, err] = rows[row];
        const std::string pause = lanes(row, ':');
        if (time - before > long_pause && pause.find(':') != std::string::npos) print("", pause);
        before = time;

        std::string line = lanes(row, '|');
        write(line, 0, text_of(time - start_, 8));
        const auto [here, there] = words(step, err);
        write(line, column(actor), here);
        if (from) {
            write(line, column(*from), there);
            write_arrow(line, *from, there, actor, here);
        }
        print(belongs_to_a_cancel(step) ? red : "", line);
    }
    if (incomplete_) print("", "(there was more)");
    if (const std::string line = figures(); !line.empty()) print(red, line);
}
