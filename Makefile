# context_cancel: `make help` lists the targets.

# --- What a caller may set ------------------------------------------------------------------------
# make CXX=clang++-19 BUILD=build/clang           another compiler
# make CXXFLAGS='-O0 -g -Werror'                  other flags: what depends on them is rebuilt
# make HTTPLIB_CFLAGS=-I/some/where HTTPLIB_LIBS=-pthread     upstream's httplib.h, header only

CXXFLAGS ?= -O2
CPPFLAGS ?=
LDFLAGS ?=
LDLIBS ?=
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format-19
CLANG_TIDY ?= clang-tidy-19
HTTPLIB_FOUND := yes
ifeq ($(origin HTTPLIB_CFLAGS),undefined)
HTTPLIB_FOUND := $(shell $(PKG_CONFIG) --exists cpp-httplib 2>/dev/null && echo yes)
HTTPLIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags cpp-httplib 2>/dev/null)
endif
ifeq ($(origin HTTPLIB_LIBS),undefined)
HTTPLIB_LIBS := $(shell $(PKG_CONFIG) --libs cpp-httplib 2>/dev/null || echo -lcpp-httplib)
endif
BUILD ?= build

# --- The program ----------------------------------------------------------------------------------

PROGRAM := $(if $(filter build,$(BUILD)),context_cancel,$(BUILD)/context_cancel)
RUN := $(if $(filter /%,$(PROGRAM)),,./)$(PROGRAM)
NET := $(wildcard net/*.cpp)
LIBRARY_SOURCES := client.cpp servers.cpp $(NET) trace/timeline.cpp

objects = $(patsubst %.cpp,$(BUILD)/%.o,$(1))
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
COMPILE = $(CXX) -std=c++20 $(WARNINGS) $(CPPFLAGS) -I. $(HTTPLIB_CFLAGS) $(CXXFLAGS) -pthread
LINK = $(CXX) $(CXXFLAGS) $(LDFLAGS) -pthread

.DELETE_ON_ERROR:
.PHONY: build run-ok run-cancel run-trace

build: $(PROGRAM)  ## build ./context_cancel (what plain `make` does)

$(PROGRAM): $(call objects,main.cpp $(LIBRARY_SOURCES))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

# Any source becomes an object in this way; the compiler writes down which of our headers it read.
$(BUILD)/%.o: %.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c $< -o $@

-include $(wildcard $(addprefix $(BUILD)/,*.d */*.d */*/*.d */*/*/*.d))

run-ok: $(PROGRAM)  ## both servers answer
	$(RUN) false

run-cancel: $(PROGRAM)  ## the fast server's error aborts the slow call
	$(RUN) true

run-trace: $(PROGRAM)  ## the same, and a picture of what happened
	$(RUN) true --trace

# Even with -j, the run-* goals run one by one: `make run-a run-b run-c` adds run-b:|run-a run-c:|run-b.
$(foreach run,$(filter run-%,$(MAKECMDGOALS)),$(eval $(run):|$(before))$(eval before := $(run)))

# --- What the build needs -------------------------------------------------------------------------
# $(BUILD)/flags holds the compiler, its flags, its version and that of cpp-httplib; when they change, all is
# rebuilt. Before it is written, the first thing that is missing is named in one line, with the remedy.

# What the oldest compilers lack: g++ 10 has no <syncstream>; clang++ before 16 does not capture a
# structured binding; libc++ has <stop_token> from 20 on, and osyncstream, which context.hpp does without,
# only with -fexperimental-library.
define COMPILER_PROBE
#include <stop_token>
#include <syncstream>
#include <thread>
#include <utility>
int main() { auto [a, b] = std::pair(1, 2); std::jthread([&] { b = a; }); }
endef
export COMPILER_PROBE
has = printf '\#if !__has_include(<%s>)\n\#error\n\#endif\n' $(1) | $(COMPILE) -E -x c++ - >/dev/null 2>&1
need_tool = command -v $(1) >/dev/null || { echo "$(1) is missing: apt-get install $(notdir $(1))" >&2; exit 1; }
need = $(call has,$(1)) || { echo "$(1) is missing: apt-get install $(2)" >&2; exit 1; }

USED := $(COMPILE) | $(LINK) $(LDLIBS) $(HTTPLIB_LIBS) | $(shell $(CXX) --version 2>/dev/null | head -n 1) \
	$(shell $(PKG_CONFIG) --modversion cpp-httplib 2>/dev/null)

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(USED)' | cmp -s - $@ || { \
	command -v $(firstword $(CXX)) >/dev/null || \
		{ echo "$(CXX) is missing: apt-get install g++" >&2; exit 1; }; \
	printf '%s\n' "$$COMPILER_PROBE" | $(COMPILE) -fsyntax-only -x c++ - 2>/dev/null || \
		{ echo "$(CXX) cannot compile C++20 with these flags: use g++ 11, clang++ 16 or newer" >&2; exit 1; }; \
	test -n "$(HTTPLIB_FOUND)" || \
		{ echo "cpp-httplib is missing: apt-get install pkg-config libcpp-httplib-dev" >&2; exit 1; }; \
	$(call need,httplib.h,libcpp-httplib-dev); \
	$(call need,CLI/CLI.hpp,libcli11-dev); \
	echo '$(USED)' >$@; }
FORCE:

# --- Tests: tests/README.md -----------------------------------------------------------------------

TEST_SOURCES := $(wildcard tests/*.cpp)
TESTS := $(BUILD)/tests/run
TEST_PROGRAMS := $(patsubst %.cpp,$(BUILD)/%,$(wildcard tests/programs/*.cpp))
# Programs with net/; they end up beside those with context.hpp alone, where the tests look for both.
FAULT_PROGRAMS := $(patsubst tests/faults/%.cpp,$(BUILD)/tests/programs/%,$(wildcard tests/faults/*.cpp))
STANDALONE := $(addprefix $(BUILD)/tests/standalone/,c++20 c++23 c++20-bare)
LIBRARY_FAULTS := $(patsubst %.cpp,$(BUILD)/%,$(wildcard tests/library_faults/*.cpp))
.PHONY: test library-faults asan tsan mutants plant docs-check

test: $(TESTS) $(TEST_PROGRAMS) $(FAULT_PROGRAMS) $(STANDALONE) $(PROGRAM)  ## run all tests (CASES='*text*': those named so)
	@PROGRAM=$(RUN) TEST_PROGRAMS=$(BUILD)/tests/programs $(TESTS) $(if $(CASES),-tc="$$CASES")

$(call objects,$(filter-out tests/loopback.cpp,$(TEST_SOURCES))): | $(BUILD)/tests/needs
$(BUILD)/tests/needs: $(BUILD)/flags
	@$(call need,doctest/doctest.h,doctest-dev)
	@mkdir -p $(@D) && touch $@

$(TESTS): $(call objects,$(TEST_SOURCES) $(LIBRARY_SOURCES))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

$(TEST_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o
	$(LINK) $^ $(LDLIBS) -o $@

$(FAULT_PROGRAMS): $(BUILD)/tests/programs/%: $(BUILD)/tests/faults/%.o $(call objects,tests/loopback.cpp $(NET))
	@mkdir -p $(@D)
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

# context.hpp alone, in two translation units of one program; `bare` is without exceptions and RTTI.
$(STANDALONE): $(BUILD)/tests/standalone/c++%: tests/standalone/one.cpp tests/standalone/two.cpp context.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -std=c++$(*:-bare=) $(if $(filter %-bare,$*),-fno-exceptions -fno-rtti) $(WARNINGS) $(CPPFLAGS) -I. \
		$(CXXFLAGS) -pthread $(filter %.cpp,$^) $(LDFLAGS) -o $@
	$@

library-faults: $(LIBRARY_FAULTS)  ## show which known faults the installed cpp-httplib has
	@for fault in $(LIBRARY_FAULTS); do $$fault || exit 1; done

$(LIBRARY_FAULTS): $(BUILD)/%: $(BUILD)/%.o $(call objects,tests/loopback.cpp)
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

# $(call in_turn,GOALS,VARIABLES): one after the other, so that what runs has the machine to itself.
in_turn = +@for goal in $(1); do $(MAKE) --no-print-directory $$goal $(2) || exit 1; done

# SANITIZED names the goals to run, for example stress.
#
# -Wno-maybe-uninitialized: g++ 12 warns of std::regex and std::stop_source where it instruments them.
# -fno-sanitize=vptr: that check opens a pipe, and a test has taken all descriptors away.
# external_symbolizer_path: clang++'s run time complains on stderr if it finds none, unless this is empty.
SANITIZED ?= test examples exercises
asan_FLAGS := -g -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer
tsan_FLAGS := -g -fsanitize=thread
tsan_SOURCES := tests/tsan/getaddrinfo_a.cpp  # for the examples: a function that this sanitizer cannot see into
asan tsan: export ASAN_OPTIONS = detect_leaks=1:detect_stack_use_after_return=1
asan tsan: export UBSAN_OPTIONS = print_stacktrace=1
asan tsan: export TSAN_OPTIONS = suppressions=tests/tsan/suppressions:halt_on_error=1:second_deadlock_stack=1 \
	external_symbolizer_path=$(shell command -v llvm-symbolizer)
asan:  ## run tests, examples and exercises with the sanitizers for addresses, leaks and undefined behaviour
tsan:  ## run tests, examples and exercises with the sanitizer for threads
asan tsan:
	$(call in_turn,$(SANITIZED),BUILD=$(BUILD)/$@ \
		CXXFLAGS='$(CXXFLAGS) -Wno-unknown-warning-option -Wno-maybe-uninitialized $($@_FLAGS)' SANITIZER_SOURCES=$($@_SOURCES))

mutants:  ## plant bugs, and show that the tests notice (MUTANTS=text: those whose name contains it)
	@tests/mutants/run "$$MUTANTS"

plant:  ## keep the uncommitted change of the source as a planted bug: see CONTRIBUTING.md
	@tests/mutants/plant

docs-check: $(PROGRAM)  ## check what the texts quote, show and name
	@tests/docs/check tests/docs/wrong.md | diff tests/docs/wrong.txt -
	@tests/docs/check $(wildcard *.md docs/*.md */README.md */*/README.md)

include examples/examples.mk bench/bench.mk
include $(addprefix tests/,stress/stress.mk fuzz/fuzz.mk model/model.mk compatibility/compatibility.mk)

# --- Maintain -------------------------------------------------------------------------------------

ALL_SOURCES = $(sort $(shell find * \( -name build -o -path '$(BUILD)' \) -prune -o -name '*.[ch]pp' -print))
.PHONY: all check format format-check tidy clean help

all: $(PROGRAM) $(TESTS) $(TEST_PROGRAMS) $(FAULT_PROGRAMS) $(STANDALONE) $(LIBRARY_FAULTS) $(STRESS_PROGRAMS) \
	$(EXAMPLES) $(UNSOLVED) $(SOLUTIONS)
all:  ## build the program, the tests and the examples

check:  ## what must pass before you send a change: 5 minutes, no root
	$(call in_turn,format-check test examples exercises docs-check)

format:  ## format all sources
	@$(call need_tool,$(CLANG_FORMAT))
	$(CLANG_FORMAT) -i $(ALL_SOURCES)

format-check:  ## fail if a source is not formatted
	@$(call need_tool,$(CLANG_FORMAT))
	@$(CLANG_FORMAT) --dry-run --Werror $(ALL_SOURCES)

tidy: $(BUILD)/flags  ## look for faults with clang-tidy
	@$(call need_tool,$(CLANG_TIDY))
	@printf '%s\n' main.cpp $(LIBRARY_SOURCES) | \
		xargs -P $$(nproc) -I {} $(CLANG_TIDY) --quiet {} -- -std=c++20 -I. $(HTTPLIB_CFLAGS)

compile_commands.json: $(BUILD)/flags FORCE  ## tell clangd and others how each source is compiled
	@printf '{"directory": "$(CURDIR)", "file": "%s", "command": "$(COMPILE) -c %s"}\n' \
		$(foreach source,$(filter %.cpp,$(ALL_SOURCES)),$(source) $(source)) | paste -sd , | sed 's/.*/[&]/' >$@

clean:  ## remove what was built in BUILD
	rm -rf $(BUILD) $(PROGRAM) compile_commands.json

help:  ## list the targets
	@sed -nE 's/^([A-Za-z_.-]+):.*  ## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 24
