// worker_bare: a worker that nobody can stop. After a timeout its caller goes home and leaves it
// alone, but the worker goes on, for nobody, as long as the process lives.
//
// A thread that outlives its caller must not use anything of the caller's. So this one is detached,
// and counts its rounds in an object that both share. worker.cpp needs neither.
//
// (With a timeout of 4 s, as in the original, the second round would be a tie.)
#include <atomic>
#include <future>
#include <iostream>
#include <memory>
#include <syncstream>
#include <thread>

using namespace std::chrono_literals;

static std::osyncstream out() { return std::osyncstream(std::cout); }

static void work(std::atomic<int>& done) {
    for (int i = 0; i < 1000; ++i) {
        std::this_thread::sleep_for(2s);
        out() << "Doing some work  " << i << std::endl;
        done = i + 1;
        done.notify_one();
    }
}

int main() {
    out() << "Hey, I'm going to do some work" << std::endl;
    const auto done = std::make_shared<std::atomic<int>>(0);
    std::packaged_task<void()> task([done] { work(*done); });
    const std::future<void> finished = task.get_future();
    std::thread(std::move(task)).detach();

    if (finished.wait_for(5s) == std::future_status::timeout) {
        out() << "Life is too short to wait that long" << std::endl;
    }
    out() << "Finished. I'm going home" << std::endl;

    // A program that ends here ends the worker, too. A server lives on, and pays for two rounds
    // more:
    const int wanted = *done;
    int now = wanted;
    while (now < wanted + 2) {
        done->wait(now);
        now = *done;
    }
    out() << "Rounds worked for nobody: " << now - wanted << std::endl;
}
