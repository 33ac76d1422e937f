// What needs a process of its own: the programs in programs/, which end with 0 and print what is
// expected here. TEST_PROGRAMS in the environment is the folder in which they were built.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <system_error>

namespace {

void must(int error, const char* what) {
    if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

// run returns what the program prints, and at the end how it ended if that was not with 0. One that
// has not ended after a minute hangs, and is killed with all its children.
std::string run(const std::string& name) {
    const char* const folder = std::getenv("TEST_PROGRAMS");
    REQUIRE_MESSAGE(folder, "TEST_PROGRAMS is not set: run the tests with `make test`");
    std::string path = std::string(folder) + '/' + name;

    std::array<int, 2> ends{};
    must(::pipe2(ends.data(), O_CLOEXEC) == 0 ? 0 : errno, "pipe2");
    posix_spawn_file_actions_t actions;
    must(::posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
    must(::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO), "adddup2");
    must(::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO), "adddup2");
    posix_spawnattr_t attributes;
    must(::posix_spawnattr_init(&attributes), "posix_spawnattr_init");
    must(::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP), "setflags");
    std::array<char*, 2> arguments{path.data(), nullptr};
    pid_t child = 0;
    const int spawned =
        ::posix_spawn(&child, path.c_str(), &actions, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    ::close(ends[1]);

    std::string output;
    bool hangs = false;
    if (spawned == 0) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        std::array<char, 4096> buffer;
        for (;;) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                limit - std::chrono::steady_clock::now());
            pollfd readable{ends[0], POLLIN, 0};
            hangs = left.count() <= 0;
            if (hangs) break;
            if (::poll(&readable, 1, static_cast<int>(left.count())) <= 0) continue;
            const ssize_t n = ::read(ends[0], buffer.data(), buffer.size());
            if (n <= 0) break;
            output.append(buffer.data(), static_cast<std::size_t>(n));
        }
    }
    ::close(ends[0]);
    must(spawned, path.c_str());

    if (hangs) ::kill(-child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (hangs) return output + "(hangs)";
    if (WIFSIGNALED(status)) return output + "(signal " + std::to_string(WTERMSIG(status)) + ")";
    if (status != 0) return output + "(exit " + std::to_string(WEXITSTATUS(status)) + ")";
    return output;
}

}  // namespace

TEST_CASE("a process ends cleanly with live contexts, and no callback runs on a torn down one") {
    CHECK(run("exit_with_live_contexts") ==
          "0 late callbacks, 2 contexts cancelled by destructors\n");
}

TEST_CASE("an exit waits for the callback that runs on the timer thread") {
    CHECK(run("exit_during_callback") == "the callback has finished\n");
}

TEST_CASE("a callback on the timer thread may call exit") {
    CHECK(run("exit_in_callback") == "exit\nstatics destroyed\n");
}

TEST_CASE("an exit waits for the function of after_func that runs, and drops those that wait") {
    CHECK(run("exit_during_after_func") == "the first has finished\nthe second has not run\n");
}

TEST_CASE("a function of after_func may call exit") {
    CHECK(run("exit_in_after_func") == "exit\nstatics destroyed\n");
}

TEST_CASE("the child of a fork has no timer thread and can exit") {
    CHECK(run("exit_in_forked_child") == "all children ended\n");
}

TEST_CASE("a wait on background is for ever") {
    CHECK(run("wait_on_background") == "background is not done\n");
}

TEST_CASE(
    "a deadline or after_func whose thread cannot be started throws and leaves nothing behind") {
    CHECK(run("no_thread_to_be_had") == "ok\n");
}

TEST_CASE("cancelling allocates nothing and starts no thread") {
    CHECK(run("cancel_allocates_nothing") == "ok\n");
}

TEST_CASE("what fails for want of memory has changed nothing") {
    CHECK(run("out_of_memory") == "ok\n");
}

TEST_CASE("whatever fails at the first use of any function, it has changed nothing") {
    CHECK(run("each_fault") == "ok\n");

TEST_CASE("a request whose memory runs out throws or fails, and leaves nothing behind") {
    CHECK(run("http_get_out_of_memory") == "ok\n");
}

TEST_CASE("a server starts whole or not at all, and outlives the end of memory while it answers") {
    CHECK(run("test_server_faults") == "ok\n");
}

TEST_CASE("without descriptors requests and starts fail, and a server waits until it has some") {
    CHECK(run("no_descriptors") == "ok\n");
}

TEST_CASE("signals whose handler restarts nothing end no wait and fail no request") {
    CHECK(run("signals") == "ok\n");
}
