// What http_get and TestServer do when memory, threads or descriptors run out, and signals arrive.
#include <doctest/doctest.h>

#include "tests/run_program.hpp"

TEST_CASE("a request whose memory runs out throws or fails, and leaves nothing behind") {
    CHECK(run_program("http_get_out_of_memory") == "ok\n");
}

TEST_CASE("a server starts whole or not at all, and outlives the end of memory while it answers") {
    CHECK(run_program("test_server_faults") == "ok\n");
}

TEST_CASE("without descriptors requests and starts fail, and a server waits until it has some") {
    CHECK(run_program("no_descriptors") == "ok\n");
}

TEST_CASE("headers are found in any case, whatever the locale") {
    CHECK(run_program("turkish_locale") == "ok\n");
}

TEST_CASE("signals whose handler restarts nothing end no wait and fail no request") {
    CHECK(run_program("signals") == "ok\n");
}
