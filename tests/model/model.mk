# --- Model: every interleaving of small scenarios, see tests/model/schedule.hpp -------------------

MODEL := $(BUILD)/tests/model/scenarios
.PHONY: model model-long

model: $(MODEL)  ## run small scenarios of contexts in every order of their threads' steps
	$(MODEL) 2

model-long: $(MODEL)  ## the same with one preemption more: minutes
	$(MODEL) 3

$(MODEL): $(wildcard tests/model/*.?pp) context.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -Wno-keyword-macro $< $(LDFLAGS) -o $@
