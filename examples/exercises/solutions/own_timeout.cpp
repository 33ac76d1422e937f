// own_timeout: the ads get a context of their own, derived from that of the page. What ends it
// leaves its parent and so the article alone; what ends the page ends it, too, because a child's
// deadline is never later than its parent's. It is derived on the thread that uses it, and so is
// gone as soon as the ads are there.
#include <iostream>
#include <syncstream>
#include <thread>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

struct Times {
    context::duration article = 500ms, ads = 2s, ads_limit = 100ms, page_limit = 1min;
};

static std::error_code fetch(const Context& ctx, const char* what, context::duration takes) {
    const std::error_code err = context::sleep_for(ctx, takes);
    out() << what << ": " << (err ? err.message() : "ok") << std::endl;
    return err;
}

// page returns whether there is one.
static bool page(const Context& ctx, const Times& times) {
    std::error_code no_article, no_ads;
    {
        std::jthread fetches_article([&] { no_article = fetch(ctx, "article", times.article); });
        std::jthread fetches_ads([&] {
            const auto [limited, cancel] = context::with_timeout(ctx, times.ads_limit);
            no_ads = fetch(limited, "ads", times.ads);
        });
    }  // waits for both threads
    if (no_article) return false;
    out() << "a page " << (no_ads ? "without" : "with") << " ads" << std::endl;
    return true;
}

int main(int argc, char** argv) {
    Times times;
    CLI::App app("A page, with ads if they come in time.", "own_timeout");
    add_duration(app, "--article", times.article, "how long the article takes [500ms]");
    add_duration(app, "--ads", times.ads, "how long the ads take [2s]");
    add_duration(app, "--ads-limit", times.ads_limit, "how long the ads may take [100ms]");
    add_duration(app, "--page-limit", times.page_limit, "how long all may take [1m]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    const auto [ctx, cancel] = context::with_timeout(context::background(), times.page_limit);
    return page(ctx, times) ? 0 : 1;
}
