# --- Exercises: see examples/exercises/README.md --------------------------------------------------

EXERCISES := third_server own_timeout cause queue ctrl_c retry
EXERCISE_FOLDER := $(BUILD)/examples/exercises
EXERCISE_PROGRAMS := $(EXERCISES:%=$(EXERCISE_FOLDER)/%) $(EXERCISES:%=$(EXERCISE_FOLDER)/solutions/%)
EXERCISE_GOALS := exercise-1 exercise-2 exercise-3 exercise-4 exercise-5 exercise-6
EXERCISE_PATIENCE := PATIENCE=$${PATIENCE:-20}
.PHONY: exercises exercise-N $(EXERCISE_GOALS)

exercise-N:  ## check your solution of an exercise (see examples/exercises/README.md)
	@echo 'exercise-N is one of: $(EXERCISE_GOALS)'

$(EXERCISE_GOALS): exercise-%:
	@$(EXERCISE_PATIENCE) examples/check $(EXERCISE_FOLDER) examples/exercises/$(<F).txt

exercise-1: $(EXERCISE_FOLDER)/third_server
exercise-2: $(EXERCISE_FOLDER)/own_timeout
exercise-3: $(EXERCISE_FOLDER)/cause
exercise-4: $(EXERCISE_FOLDER)/queue
exercise-5: $(EXERCISE_FOLDER)/ctrl_c
exercise-6: $(EXERCISE_FOLDER)/retry

exercises: $(EXERCISE_PROGRAMS)  ## require that all solutions pass, and the unsolved exercises do not
	@$(EXERCISE_PATIENCE) examples/exercises/check_all $(EXERCISE_FOLDER) $(EXERCISES)

$(EXERCISE_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(call objects,$(wildcard net/*.cpp))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@
