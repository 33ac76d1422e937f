// own_timeout, exercise 2. A page fetches an article and ads at once. Give the ads a timeout of
// their own, ads_limit: if they take longer, they are aborted, and the article comes without them.
// That must touch neither the article nor the time that the whole page has. When the page's time is
// up, both fetches are aborted, whatever the limit of the ads.
//
// It should print what stands in own_timeout.txt, the two fetches in any order.
//
// Hint: the tree at the top of context.hpp. Which contexts are done with a node, and which stay
// live?
#include <iostream>
#include <syncstream>
#include <thread>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

struct Times {
    context::duration ads, ads_limit, page_limit;
};

static std::error_code fetch(const Context& ctx, const char* what, context::duration takes) {
    const std::error_code aborted = context::sleep_for(ctx, takes);
    out() << what << ": " << (aborted ? aborted.message() : "ok") << std::endl;
    return aborted;
}

static void page(const Times& times) {
    const auto [ctx, cancel] = context::with_timeout(context::background(), times.page_limit);
    std::error_code no_article, no_ads;
    {
        std::jthread fetches_article([&] { no_article = fetch(ctx, "article", 500ms); });
        // EDIT HERE: the ads get no more than times.ads_limit.
        std::jthread fetches_ads([&] { no_ads = fetch(ctx, "ads", times.ads); });
    }  // waits for both threads
    if (no_article) {
        out() << "no page" << std::endl;
    } else {
        out() << "a page " << (no_ads ? "without" : "with") << " ads" << std::endl;
    }
}

int main() {
    page({.ads = 3s, .ads_limit = 100ms, .page_limit = 1min});
    page({.ads = 10ms, .ads_limit = 1h, .page_limit = 1min});
    page({.ads = 3s, .ads_limit = 1h, .page_limit = 100ms});
}
