// worker_abandoned: a worker that is left alone when it takes too long. Its caller is free, but the
// worker is not: it goes on, for nobody, as long as the process lives.
//
// A thread that may outlive its caller must not use anything of the caller's: so the worker is
// detached, takes copies, and counts in an object that it shares. (With a timeout of 4 s its second
// round would be a tie, as it is in Go.)
//
// Before: worker_bare.cpp waits to the end. Next: worker.cpp tells the worker.
#include <algorithm>
#include <atomic>
#include <future>
#include <iostream>
#include <memory>
#include <syncstream>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;

static std::osyncstream out() { return std::osyncstream(std::cout); }

static void work(int rounds, std::chrono::nanoseconds round, std::atomic<int>& done) {
    for (int i = 0; i < rounds; ++i) {
        std::this_thread::sleep_for(round);
        out() << "Doing some work  " << i << std::endl;
        ++done;
    }
}

int main(int argc, char** argv) {
    std::chrono::nanoseconds round = 2s, timeout = 5s, later = 6s;
    CLI::App app("A worker that is abandoned after a time.", "worker_abandoned");
    add_duration(app, "--round", round, "how long a round takes [2s]");
    add_duration(app, "--timeout", timeout, "how long to wait for the worker [5s]");
    add_duration(app, "--later", later, "how long the process lives after that [6s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    out() << "Hey, I'm going to do some work" << std::endl;
    const auto done = std::make_shared<std::atomic<int>>(0);
    std::packaged_task<void()> task([=] { work(1000, round, *done); });
    const std::future<void> finished = task.get_future();
    std::thread(std::move(task)).detach();

    if (finished.wait_for(std::min<std::chrono::nanoseconds>(timeout, 24h * 365)) ==
        std::future_status::timeout) {
        out() << "Life is too short to wait that long" << std::endl;
    }
    out() << "Finished. I'm going home" << std::endl;

    // A program that ends here ends the worker, too. A server lives on, and pays for this:
    const int wanted = *done;
    std::this_thread::sleep_for(later);
    out() << "Rounds worked for nobody: " << *done - wanted << std::endl;
}
