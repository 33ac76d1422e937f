#include "tests/run_program.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <system_error>

namespace {

void must(int error, const char* what) {
    if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

std::string run_program(const std::string& name) {
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
