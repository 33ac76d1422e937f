# --- Bench: see bench/README.md -------------------------------------------------------------------

GO ?= go
BENCH := $(BUILD)/bench
BENCH_PROGRAMS := $(addprefix $(BENCH)/,context_bench http_bench holding_server memory)
GO_PROGRAMS := $(addprefix $(BENCH)/go_,context http memory book)
ROUNDS ?= 5
.PHONY: bench bench-compare

bench: $(BENCH)/context_bench  ## run our benchmarks
	$(BENCH)/context_bench

bench-compare: $(BENCH)/needs $(BENCH_PROGRAMS) $(GO_PROGRAMS) $(PROGRAM)  ## our benchmarks beside Go's
	CXX='$(CXX)' GO='$(GO)' bench/compare $(BENCH) $(RUN) $(ROUNDS)

$(BENCH)/needs: $(BUILD)/flags
	@command -v $(GO) >/dev/null || { echo "go is missing: apt-get install golang-go" >&2; exit 1; }
	@$(call need,benchmark/benchmark.h,libbenchmark-dev)
	@mkdir -p $(@D) && touch $@

$(BENCH)/context_bench: bench/context_bench.cpp context.hpp $(BENCH)/needs
	$(COMPILE) $< $(LDFLAGS) -lbenchmark -o $@

$(BENCH)/memory: bench/memory.cpp context.hpp $(BENCH)/needs
	$(COMPILE) $< $(LDFLAGS) -o $@

$(BENCH)/holding_server: bench/holding_server.cpp $(BENCH)/needs
	$(COMPILE) $< $(LDFLAGS) -o $@

$(BENCH)/http_bench: bench/http_bench.cpp $(call objects,net/http_get.cpp net/headers.cpp net/lookup.cpp net/url.cpp) $(BENCH)/needs
	$(COMPILE) $(filter %.cpp %.o,$^) $(LDFLAGS) $(HTTPLIB_LIBS) -o $@

# Go's own tests of the package, as they are installed.
$(BENCH)/go_context: $(BENCH)/needs
	$(GO) test -c -o $@ context

$(BENCH)/go_%: bench/go/%/main.go $(BENCH)/needs
	GO111MODULE=off $(GO) build -o $@ ./$(<D)
