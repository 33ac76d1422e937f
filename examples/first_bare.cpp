// first_bare: a query goes to all replicas, and the first answer wins. Nothing tells the others, so
// they work on for nobody. first.cpp aborts them.
#include <atomic>
#include <functional>
#include <future>
#include <iostream>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

using Search = std::function<std::string(const std::string& query)>;

// first returns the first answer that a replica gives. Its threads outlive it.
static std::string first(const std::string& query, const std::vector<Search>& replicas) {
    struct Race {
        std::atomic<bool> won{false};
        std::promise<std::string> answer;
    };
    const auto race = std::make_shared<Race>();
    for (const Search& replica : replicas) {
        std::thread([race, replica, query] {
            std::string answer = replica(query);
            if (!race->won.exchange(true)) race->answer.set_value(std::move(answer));
        }).detach();
    }
    return race->answer.get_future().get();
}

int main() {
    static std::latch at_work(3);
    static std::atomic<int> finished = 0;
    const auto replica = [](const std::string& name, std::chrono::nanoseconds takes) {
        return [name, takes](const std::string& query) {
            std::this_thread::sleep_for(takes);
            ++finished;
            at_work.count_down();
            return name + " found " + query;
        };
    };
    const std::vector<Search> replicas{replica("tokyo", 2s), replica("here", 20ms),
                                       replica("mars", 2s)};
    std::cout << first("gopher", replicas) << std::endl;
    std::cout << "still at work: " << 3 - finished << std::endl;
    at_work.wait();
    std::cout << "now they have finished, for nobody" << std::endl;
}
