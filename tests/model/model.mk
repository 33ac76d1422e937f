# --- Model: every interleaving of small scenarios, see tests/model/schedule.hpp --------------------

MODEL := $(BUILD)/tests/model/scenarios
.PHONY: model model-long

model: $(MODEL)  ## run small scenarios of contexts in every order of their threads' steps
	$(MODEL) 2 200000

model-long: $(MODEL)  ## the same, to the end and with one preemption more: an hour
	$(MODEL) 3

$(MODEL): tests/model/scenarios.cpp $(wildcard tests/model/*.hpp) context.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -Wno-keyword-macro $< $(LDFLAGS) -o $@
