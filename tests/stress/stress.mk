# --- Stress: `make stress STRESS='--ops 50000' LOAD='--scale 0.1' REQUESTS=1000` makes it short ----

STRESS ?=
LOAD ?=
REQUESTS ?= 10000
CONTEXT_STRESS := $(addprefix $(BUILD)/tests/stress/,context_stress context_load)
HTTP_STRESS := $(addprefix $(BUILD)/tests/stress/,http_stress http_load)
STRESS_PROGRAMS := $(CONTEXT_STRESS) $(HTTP_STRESS)
.PHONY: stress

stress: $(STRESS_PROGRAMS)  ## a million random operations on contexts, 10,000 requests aborted at random, large numbers of both
	$(BUILD)/tests/stress/context_stress $(STRESS)
	$(BUILD)/tests/stress/context_load $(LOAD)
	$(BUILD)/tests/stress/http_stress --requests $(REQUESTS)
	$(BUILD)/tests/stress/http_load

$(STRESS_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

$(HTTP_STRESS): $(call objects,tests/loopback.cpp $(NET))
