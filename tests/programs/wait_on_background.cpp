// wait() on background() is for ever, and does not keep the process from ending.
#include "context.hpp"

#include <cstdio>
#include <cstdlib>
#include <latch>

using namespace std::chrono_literals;

int main() {
    static std::latch& about_to_wait = *new std::latch(1);
    std::thread([] {
        about_to_wait.count_down();
        context::wait(context::background());
        std::puts("background is done");
        std::_Exit(1);
    }).detach();
    about_to_wait.wait();
    if (context::sleep_for(context::background(), 20ms)) return 1;
    std::puts("background is not done");
    return 0;
}
