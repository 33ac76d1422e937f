# --- Bench: see bench/README.md -------------------------------------------------------------------

GO ?= go
BENCH := $(BUILD)/bench
BENCH_PROGRAMS := $(addprefix $(BENCH)/,context_bench http_bench holding_server memory)
GO_PROGRAMS := $(addprefix $(BENCH)/go_,context root http memory book)
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

$(BENCH_PROGRAMS:=.o): | $(BENCH)/needs

$(BENCH_PROGRAMS): %: %.o
	$(LINK) $^ $(LDLIBS) $(BENCH_LIBS) -o $@

$(BENCH)/context_bench: BENCH_LIBS = -lbenchmark
$(BENCH)/http_bench: BENCH_LIBS = $(HTTPLIB_LIBS)
$(BENCH)/http_bench: $(call objects,$(NET))

# Go's own tests of the package, as they are installed.
$(BENCH)/go_context: $(BENCH)/needs
	$(GO) test -c -o $@ context

$(BENCH)/go_%: bench/go/%/main.go $(BENCH)/needs
	GO111MODULE=off $(GO) build -o $@ ./$(<D)
