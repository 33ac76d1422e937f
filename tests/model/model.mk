# --- Model: every interleaving of small scenarios, see tests/model/model.hpp ----------------------

MODEL := $(BUILD)/tests/model/scenarios
.PHONY: model model-long
model: $(MODEL)  ## run small scenarios of contexts in every order of their threads' steps
	$< 2
model-long: $(MODEL)  ## the same with one preemption more: minutes
	$< 3
$(MODEL): tests/model/scenarios.cpp tests/model/model.hpp context.hpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -Wno-keyword-macro $< $(LDFLAGS) -o $@
