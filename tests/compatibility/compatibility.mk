# --- Compatibility: context.hpp by itself, and all of it on each Debian ----------------------------

CONTEXT_TESTS := $(wildcard tests/context*_test.cpp) tests/go_context_test.cpp tests/main_test.cpp \
	tests/programs_test.cpp tests/run_program.cpp
.PHONY: compatibility context-test standalone

context-test: $(BUILD)/tests/context $(TEST_PROGRAMS) standalone  ## run the tests of context.hpp
	@TEST_PROGRAMS=$(BUILD)/tests/programs $<

$(BUILD)/tests/context: $(call objects,$(CONTEXT_TESTS))
	$(LINK) $^ $(LDLIBS) -o $@

standalone: $(STANDALONE)

compatibility:  ## run everything on Debian 12, 13 and sid, with each compiler (as root; takes hours)
	@tests/compatibility/run $(SUITES)
