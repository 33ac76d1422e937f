// worker_bare: a worker that nobody can stop. Whoever started it waits until its last round is
// over. It does three rounds by default; with --rounds 1000 that takes half an hour.
//
// Next: worker_abandoned.cpp stops waiting.
#include <iostream>
#include <thread>

#include "flag/command_line.hpp"
#include "flag/duration.hpp"

using namespace std::chrono_literals;

static void work(int rounds, std::chrono::nanoseconds round) {
    for (int i = 0; i < rounds; ++i) {
        std::this_thread::sleep_for(round);
        std::cout << "Doing some work  " << i << std::endl;
    }
}

int main(int argc, char** argv) {
    int rounds = 3;
    std::chrono::nanoseconds round = 2s;
    CLI::App app("A worker that nobody can stop.", "worker_bare");
    app.add_option("--rounds", rounds, "how often it works [3]")->check(CLI::NonNegativeNumber);
    add_duration(app, "--round", round, "how long a round takes [2s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    std::cout << "Hey, I'm going to do some work" << std::endl;
    {
        std::jthread worker([&] { work(rounds, round); });
    }  // waits for the worker
    std::cout << "Finished. I'm going home" << std::endl;
}
