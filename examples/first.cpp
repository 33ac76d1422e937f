// first: a query goes to all replicas, the first answer wins, and the others are aborted. When
// the function returns, none of its threads runs any more. (first_bare.cpp leaves them running.)
#include <atomic>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

struct Found {
    std::string hit;
    std::error_code err;
};
using Search = std::function<Found(const Context& ctx, const std::string& query)>;

// first returns what the quickest replica has found, or its error.
static Found first(const Context& parent, const std::string& query,
                   const std::vector<Search>& replicas) {
    const auto [ctx, cancel] = context::with_cancel(parent);
    std::atomic<bool> won = false;
    Found winner;
    {
        std::vector<std::jthread> searches;
        for (const Search& replica : replicas) {
            searches.emplace_back([&] {
                Found found = replica(ctx, query);
                if (won.exchange(true)) return;
                winner = std::move(found);
                cancel();
            });
        }
    }  // waits for all; once one has won, that is not long
    return winner;
}

int main() {
    std::atomic<int> at_work = 0, aborted_searches = 0;
    const auto replica = [&](const std::string& name, context::duration takes) {
        return [&, name, takes](const Context& ctx, const std::string& query) -> Found {
            ++at_work;
            const std::error_code aborted = context::sleep_for(ctx, takes);
            --at_work;
            if (!aborted) return {name + " found " + query, {}};
            ++aborted_searches;
            return {"", aborted};
        };
    };
    const std::vector<Search> replicas{replica("tokyo", 2s), replica("here", 20ms),
                                       replica("mars", 2s)};
    const Found found = first(context::background(), "gopher", replicas);
    std::cout << (found.err ? found.err.message() : found.hit) << std::endl;
    std::cout << "still at work: " << at_work << ", aborted: " << aborted_searches << std::endl;
}
