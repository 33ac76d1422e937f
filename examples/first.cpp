// first: a query goes to all replicas, the first answer wins, and the others are cancelled. When
// the function returns, nothing of it runs any more.
//
// Before: first_bare.cpp leaves the others running. Next: lazy_server.cpp cancels a request.
#include <atomic>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;
using context::Context;

struct Found {
    std::string hit;
    std::error_code err;
};
using Search = std::function<Found(const Context& ctx, const std::string& query)>;

// first returns what the first replica to end has to say, be it an answer or an error.
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
    }  // waits for all, which is not long once one has won
    return winner;
}

int main(int argc, char** argv) {
    context::duration slow = 2s;
    CLI::App app("The first answer wins, and the others are cancelled.", "first");
    add_duration(app, "--slow", slow, "how long the slow replicas take [2s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::atomic<int> at_work = 0;
    std::atomic<int> cancelled = 0;
    const auto replica = [&](const std::string& name, context::duration takes) {
        return [&, name, takes](const Context& ctx, const std::string& query) -> Found {
            ++at_work;
            const std::error_code err = context::sleep_for(ctx, takes);
            --at_work;
            if (!err) return {name + " found " + query, {}};
            ++cancelled;
            return {"", err};
        };
    };
    const std::vector<Search> replicas{replica("tokyo", slow), replica("here", 20ms),
                                       replica("mars", slow)};
    const Found found = first(context::background(), "gopher", replicas);
    std::cout << (found.err ? found.err.message() : found.hit) << std::endl;
    std::cout << "still at work: " << at_work << ", cancelled: " << cancelled << std::endl;
}
