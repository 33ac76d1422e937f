# --- Examples and exercises: see examples/README.md -----------------------------------------------

EXAMPLE_SOURCES := $(wildcard examples/*.cpp examples/pitfalls/*.cpp)
EXAMPLES := $(EXAMPLE_SOURCES:%.cpp=$(BUILD)/%)
RUN_EXAMPLES := $(addprefix run-,$(notdir $(EXAMPLES)))
.PHONY: examples run-NAME $(RUN_EXAMPLES)

examples: $(EXAMPLES)  ## build and run all examples, and compare what they print
	@examples/check $(BUILD)/examples $(EXAMPLE_SOURCES:.cpp=.txt)

$(foreach example,$(EXAMPLES),$(eval run-$(notdir $(example)): $(example)))
$(RUN_EXAMPLES):
	@$<

run-NAME:  ## run an example
	@echo 'NAME is one of: $(sort $(notdir $(EXAMPLES)))'

# In the order of their numbers. A solution is an exercise with the diff beside it applied.
EXERCISES := third_server own_timeout cause queue ctrl_c retry
NUMBERS := 1 2 3 4 5 6
UNSOLVED := $(EXERCISES:%=$(BUILD)/examples/exercises/%)
SOLUTIONS := $(EXERCISES:%=$(BUILD)/examples/exercises/solutions/%)
EXERCISE_GOALS := $(NUMBERS:%=exercise-%)
CHECK_EXERCISES := PATIENCE=20 examples/check
.PHONY: exercises exercise-N $(EXERCISE_GOALS)

exercises: $(UNSOLVED) $(SOLUTIONS)  ## require that all solutions pass, and the unsolved exercises do not
	@$(CHECK_EXERCISES) $(BUILD)/examples/exercises/solutions $(EXERCISES:%=examples/exercises/%.txt)
	@$(CHECK_EXERCISES) --unsolved $(BUILD)/examples/exercises $(EXERCISES:%=examples/exercises/%.txt)

$(foreach n,$(NUMBERS),$(eval exercise-$(n): $(word $(n),$(UNSOLVED))))
$(EXERCISE_GOALS):
	@$(CHECK_EXERCISES) $(<D) examples/exercises/$(<F).txt

exercise-N:  ## check your solution of an exercise (see examples/exercises/README.md)
	@echo 'exercise-N is one of: $(EXERCISE_GOALS)'

$(SOLUTIONS:=.cpp): $(BUILD)/examples/exercises/solutions/%.cpp: $(addprefix examples/exercises/%,.cpp .diff)
	@$(call need_tool,patch)
	@mkdir -p $(@D)
	@patch --quiet --fuzz=0 --reject-file=- --output=$@ $^

$(SOLUTIONS:=.o): %.o: %.cpp $(BUILD)/flags
	$(COMPILE) -MMD -MP -c $< -o $@

$(EXAMPLES) $(UNSOLVED) $(SOLUTIONS): $(BUILD)/%: $(BUILD)/%.o $(call objects,$(NET) $(SANITIZER_SOURCES))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@
