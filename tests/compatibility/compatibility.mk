# --- Compatibility: context.hpp by itself; and all of it, with each compiler, on each Debian -------

CONTEXT_TESTS := $(wildcard tests/context*_test.cpp) $(patsubst %,tests/%.cpp,go_context_test main_test \
	programs_test run_program)
SUITES ?= bookworm trixie sid
.PHONY: context-test standalone compatibility compatibility-here

context-test: $(BUILD)/tests/context $(TEST_PROGRAMS) standalone  ## run the tests of context.hpp alone
	@TEST_PROGRAMS=$(BUILD)/tests/programs $<

$(BUILD)/tests/context: $(call objects,$(CONTEXT_TESTS))
	$(LINK) $^ $(LDLIBS) -o $@

standalone: $(STANDALONE)

compatibility:  ## print what works on Debian 12, 13 and sid (as root; takes hours)
	@.ci/fresh '$(SUITES)' '. tests/compatibility/install && make --no-print-directory compatibility-here'

compatibility-here:  ## print what works with each compiler that is installed
	@tests/compatibility/checks
