# --- Fuzz: any bytes as a URL ---------------------------------------------------------------------
# New inputs are kept in $(FUZZ)/corpus; `make fuzz-corpus` takes those that reach something new
# into tests/fuzz/corpus.

FUZZ := $(BUILD)/fuzz
FUZZ_CXX ?= clang++-19
FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzz-corpus

fuzz: $(FUZZ)/url_fuzz  ## fuzz the URL parser for FUZZ_SECONDS (60)
	@mkdir -p $(FUZZ)/corpus
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=300 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=$(FUZZ)/ $(FUZZ)/corpus tests/fuzz/corpus/url

fuzz-corpus: $(FUZZ)/url_fuzz  ## keep what the last fuzzing found
	$< -set_cover_merge=1 -verbosity=0 tests/fuzz/corpus/url $(FUZZ)/corpus

$(FUZZ)/url_fuzz: tests/fuzz/url_fuzz.cpp net/url.cpp net/url.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(FUZZ_CXX) -std=c++20 $(WARNINGS) $(CPPFLAGS) -I. $(HTTPLIB_CFLAGS) -O1 -g \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -pthread $(filter %.cpp,$^) -o $@
