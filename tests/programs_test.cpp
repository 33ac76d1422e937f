// What context.hpp does at the ends of a process and of its resources, each in a program of its
// own.
#include <doctest/doctest.h>

#include "tests/run_program.hpp"

TEST_CASE("a process ends cleanly with live contexts, and no callback runs on a torn down one") {
    CHECK(run_program("exit_with_live_contexts") ==
          "0 late callbacks, 2 contexts cancelled by destructors\n");
}

TEST_CASE("an exit waits for the callback that runs on the timer thread") {
    CHECK(run_program("exit_during_callback") == "the callback has finished\n");
}

TEST_CASE("a callback on the timer thread may call exit") {
    CHECK(run_program("exit_in_callback") == "exit\nstatics destroyed\n");
}

TEST_CASE("an exit waits for the function of after_func that runs, and drops those that wait") {
    CHECK(run_program("exit_during_after_func") ==
          "the first has finished\nthe second has not run\n");
}

TEST_CASE("a function of after_func may call exit") {
    CHECK(run_program("exit_in_after_func") == "exit\nstatics destroyed\n");
}

TEST_CASE("an exit lets a function of after_func wait for a deadline") {
    CHECK(run_program("exit_while_deadline_awaited") == "the deadline has come\n");
}

TEST_CASE("after an exit a static may wait for a deadline, cancel and join") {
    CHECK(run_program("exit_then_wait_for_deadline") == "joined\n");
}

TEST_CASE("no signal of the program lands on a hidden thread") {
    CHECK(run_program("signals_are_the_programs") == "all signals are received\n");
}

TEST_CASE("the child of a fork has no timer thread and can exit") {
    CHECK(run_program("exit_in_forked_child") == "all children ended\n");
}

TEST_CASE("a wait on background is for ever") {
    CHECK(run_program("wait_on_background") == "background is not done\n");
}

TEST_CASE(
    "a deadline or after_func whose thread cannot be started throws and leaves nothing behind") {
    CHECK(run_program("no_thread_to_be_had") == "ok\n");
}

TEST_CASE("cancelling allocates nothing and starts no thread") {
    CHECK(run_program("cancel_allocates_nothing") == "ok\n");
}

TEST_CASE("Allocs: each derivation allocates once, the first done() once more, and nothing else") {
    CHECK(run_program("allocations") == "ok\n");
}

TEST_CASE("what fails for want of memory has changed nothing") {
    CHECK(run_program("out_of_memory") == "ok\n");
}

TEST_CASE("whatever fails at the first use of any function, it has changed nothing") {
    CHECK(run_program("each_fault") == "ok\n");
}
