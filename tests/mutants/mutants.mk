# --- Mutants: bugs that the tests have to notice --------------------------------------------------

.PHONY: mutants programs

mutants:  ## plant bugs, and show that the tests notice (MUTANTS=text: those whose name contains it)
	@tests/mutants/run '$(MUTANTS)'

programs: $(TEST_PROGRAMS)
