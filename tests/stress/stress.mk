# --- Stress: `make stress STRESS='--ops 50000' LOAD='--scale 0.1'` makes it short ------------------

STRESS ?=
LOAD ?=
STRESS_PROGRAMS := $(addprefix $(BUILD)/tests/stress/,context_stress context_load)
.PHONY: stress

stress: $(STRESS_PROGRAMS)  ## a million random operations on contexts, and large numbers of them
	$(BUILD)/tests/stress/context_stress $(STRESS)
	$(BUILD)/tests/stress/context_load $(LOAD)

$(STRESS_PROGRAMS): $(BUILD)/%: %.cpp context.hpp tests/counted.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(filter %.cpp %.o,$^) $(LDFLAGS) -o $@
