# --- Fuzz: any bytes as a URL ---------------------------------------------------------------------
# New inputs are kept in $(FUZZ)/corpus; `make fuzz-corpus` takes those that reach something new
# into tests/fuzz/corpus.

FUZZ := $(BUILD)/fuzz
FUZZ_CXX ?= clang++-19
FUZZ_SECONDS ?= 60
FUZZERS := url
FUZZ_COMPILE = $(FUZZ_CXX) -std=c++20 $(WARNINGS) $(CPPFLAGS) -I. $(HTTPLIB_CFLAGS) -O1 -g \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -pthread
.PHONY: fuzz fuzz-corpus

fuzz: $(FUZZERS:%=$(FUZZ)/%)  ## fuzz for FUZZ_SECONDS (60)
	@for name in $(FUZZERS); do \
		mkdir -p $(FUZZ)/corpus/$$name; \
		echo "fuzzing: $$name, for $(FUZZ_SECONDS) s"; \
		$(FUZZ)/$$name -max_total_time=$(FUZZ_SECONDS) -max_len=300 -timeout=10 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix=$(FUZZ)/ $(FUZZ)/corpus/$$name tests/fuzz/corpus/$$name \
			|| exit 1; \
	done

fuzz-corpus: $(FUZZERS:%=$(FUZZ)/%)
	for name in $(FUZZERS); do \
		$(FUZZ)/$$name -set_cover_merge=1 -verbosity=0 tests/fuzz/corpus/$$name $(FUZZ)/corpus/$$name || exit 1; \
	done

$(FUZZ)/url: tests/fuzz/url_fuzz.cpp net/url.cpp net/url.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(FUZZ_COMPILE) $(filter %.cpp,$^) -o $@
