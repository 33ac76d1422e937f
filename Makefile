# context_cancel: `make help` lists the targets.

# --- What a caller may set ------------------------------------------------------------------------
# make CXX=clang++-19 BUILD=build/clang           another compiler
# make CXXFLAGS='-O0 -g -Werror'                  other flags: what depends on them is rebuilt
# make HTTPLIB_CFLAGS=-I/some/where HTTPLIB_LIBS=-pthread     upstream's httplib.h, header only

CXXFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=
LDLIBS ?=
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format-19
CLANG_TIDY ?= clang-tidy-19
ifndef HTTPLIB_CFLAGS
HTTPLIB_FOUND := $(shell $(PKG_CONFIG) --exists cpp-httplib 2>/dev/null && echo yes)
else
HTTPLIB_FOUND := yes
endif
HTTPLIB_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags cpp-httplib 2>/dev/null)
HTTPLIB_LIBS ?= $(shell $(PKG_CONFIG) --libs cpp-httplib 2>/dev/null || echo -lcpp-httplib)
BUILD ?= build

# --- What is built --------------------------------------------------------------------------------

PROGRAM := $(if $(filter build,$(BUILD)),context_cancel,$(BUILD)/context_cancel)
RUN := $(if $(filter /%,$(PROGRAM)),,./)$(PROGRAM)
TESTS := $(BUILD)/tests/run
LIBRARY_SOURCES := client.cpp servers.cpp $(wildcard net/*.cpp flag/*.cpp trace/*.cpp)
TEST_SOURCES := $(wildcard tests/*.cpp)
TEST_PROGRAMS := $(patsubst %.cpp,$(BUILD)/%,$(wildcard tests/programs/*.cpp))
STANDALONE := $(foreach std,20 23,$(BUILD)/tests/standalone/c++$(std))
FORMATTED := $(wildcard *.cpp *.hpp net/* flag/* trace/* tests/*.[ch]pp tests/*/*.[ch]pp bench/*.cpp \
	examples/*.cpp examples/*/*.cpp examples/*/*/*.cpp)

objects = $(patsubst %.cpp,$(BUILD)/%.o,$(1))
SOURCES := main.cpp $(LIBRARY_SOURCES) $(TEST_SOURCES) $(wildcard examples/*.cpp examples/*/*.cpp examples/*/*/*.cpp \
	tests/stress/http_*.cpp tests/faults/*.cpp tests/library_faults/*.cpp)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
COMPILE = $(CXX) -std=c++20 $(WARNINGS) $(CPPFLAGS) -I. $(HTTPLIB_CFLAGS) $(CXXFLAGS) -pthread
LINK = $(CXX) $(CXXFLAGS) $(LDFLAGS) -pthread

.DELETE_ON_ERROR:
.PHONY: build run-ok run-cancel run-trace test asan tsan format format-check tidy clean help

build: $(PROGRAM)  ## build ./context_cancel (what plain `make` does)

$(PROGRAM): $(call objects,main.cpp $(LIBRARY_SOURCES))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

$(call objects,$(SOURCES)): $(BUILD)/%.o: %.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c $< -o $@

-include $(patsubst %.o,%.d,$(call objects,$(SOURCES)))

# --- What the build needs -------------------------------------------------------------------------
# The file changes with the compiler and the flags. Before it is written, whatever is missing is
# named in one line, with the remedy.

define COMPILER_PROBE
#include <stop_token>
#include <syncstream>
#include <thread>
#include <utility>
int main() { auto [a, b] = std::pair(1, 2); std::jthread([&] { b = a; }); std::osyncstream o(nullptr); }
endef
export COMPILER_PROBE
has = printf '\#if !__has_include(<%s>)\n\#error\n\#endif\n' $(1) | $(COMPILE) -E -x c++ - >/dev/null 2>&1
need = $(call has,$(1)) || { echo "$(1) is missing: apt-get install $(2)" >&2; exit 1; }

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(COMPILE) | $(LINK) $(LDLIBS) $(HTTPLIB_LIBS)' | cmp -s - $@ || { \
	command -v $(firstword $(CXX)) >/dev/null || \
		{ echo "$(CXX) is missing: apt-get install g++" >&2; exit 1; }; \
	printf '%s\n' "$$COMPILER_PROBE" | $(COMPILE) -fsyntax-only -x c++ - 2>/dev/null || \
		{ echo "$(CXX) cannot compile C++20: use g++ 11, clang++ 16 or newer" >&2; exit 1; }; \
	test -n "$(HTTPLIB_FOUND)" || \
		{ echo "cpp-httplib is missing: apt-get install pkg-config libcpp-httplib-dev" >&2; exit 1; }; \
	$(call need,httplib.h,libcpp-httplib-dev); \
	$(call need,CLI/CLI.hpp,libcli11-dev); \
	echo '$(COMPILE) | $(LINK) $(LDLIBS) $(HTTPLIB_LIBS)' >$@; }
FORCE:

# --- Run ------------------------------------------------------------------------------------------

run-ok: $(PROGRAM)  ## both servers answer
	$(RUN) false

run-cancel: $(PROGRAM)  ## the fast server's error cancels the slow call
	$(RUN) true

run-trace: $(PROGRAM)  ## the same, and a picture of what happened
	$(RUN) true --trace

# --- Test -----------------------------------------------------------------------------------------

test: $(TESTS) $(TEST_PROGRAMS) $(STANDALONE) $(PROGRAM)  ## run all tests
	@PROGRAM=$(RUN) TEST_PROGRAMS=$(BUILD)/tests/programs $(TESTS)

$(call objects,$(TEST_SOURCES)): | $(BUILD)/tests/needs
$(BUILD)/tests/needs: $(BUILD)/flags
	@$(call need,doctest/doctest.h,doctest-dev)
	@mkdir -p $(@D) && touch $@

$(TESTS): $(call objects,$(TEST_SOURCES) $(LIBRARY_SOURCES))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

$(TEST_PROGRAMS): $(BUILD)/%: %.cpp context.hpp $(wildcard tests/*.hpp) $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) $< $(LDFLAGS) -o $@

# context.hpp alone, in two translation units of one program.
$(STANDALONE): $(BUILD)/tests/standalone/c++%: tests/standalone/one.cpp tests/standalone/two.cpp context.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -std=c++$* $(WARNINGS) $(CPPFLAGS) -I. $(CXXFLAGS) -pthread $(filter %.cpp,$^) $(LDFLAGS) -o $@
	$@

# SANITIZED says what runs: it may be stress, too.
#
# g++ 12 warns of std::regex and std::stop_source where it instruments them, and the check of vptr
# opens a pipe, which fails where a test has taken the descriptors away.
SANITIZED ?= test examples
asan: export ASAN_OPTIONS = detect_leaks=1:detect_stack_use_after_return=1
asan: export UBSAN_OPTIONS = print_stacktrace=1
asan:  ## run all tests and examples with the sanitizers for addresses, leaks and undefined behaviour
	@for goal in $(SANITIZED); do $(MAKE) --no-print-directory $$goal BUILD=$(BUILD)/asan CXXFLAGS='$(CXXFLAGS) -Wno-unknown-warning-option -Wno-maybe-uninitialized \
		-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer' || exit 1; done

tsan: export TSAN_OPTIONS = suppressions=tests/tsan.supp:halt_on_error=1:second_deadlock_stack=1
tsan:  ## run all tests and examples with the sanitizer for threads
	@for goal in $(SANITIZED); do $(MAKE) --no-print-directory $$goal BUILD=$(BUILD)/tsan CXXFLAGS='$(CXXFLAGS) -Wno-unknown-warning-option -Wno-maybe-uninitialized \
		-fsanitize=thread' || exit 1; done

include examples/examples.mk examples/exercises/exercises.mk bench/bench.mk docs/docs.mk
include tests/mutants/mutants.mk tests/fuzz/fuzz.mk tests/stress/stress.mk tests/stress/http.mk tests/model/model.mk

# --- Maintain --------------------------------------------------------------------------------------

format:  ## format all sources
	$(CLANG_FORMAT) -i $(FORMATTED)

format-check:  ## fail if a source is not formatted
	$(CLANG_FORMAT) --dry-run --Werror $(FORMATTED)

tidy: $(BUILD)/flags  ## look for faults with clang-tidy
	$(CLANG_TIDY) --quiet main.cpp $(LIBRARY_SOURCES) -- -std=c++20 -I. $(HTTPLIB_CFLAGS)

clean:  ## remove what was built
	rm -rf build context_cancel

help:  ## list the targets
	@sed -nE 's/^([A-Za-z-]+):.*  ## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14
