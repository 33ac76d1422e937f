# --- Stress over HTTP -----------------------------------------------------------------------------

HTTP_STRESS := $(addprefix $(BUILD)/tests/stress/,http_stress http_load)
REQUESTS ?= 10000
.PHONY: http-stress stress-programs

stress: http-stress
stress-programs: $(STRESS_PROGRAMS) $(HTTP_STRESS)

http-stress: $(HTTP_STRESS)  ## end thousands of requests at random moments, and count what is left
	$(BUILD)/tests/stress/http_stress --requests $(REQUESTS)
	$(BUILD)/tests/stress/http_load

$(HTTP_STRESS): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/loopback.o $(call objects,$(wildcard net/*.cpp))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

# --- Faults: programs that need net/, beside those of the tests ------------------------------------

FAULT_PROGRAMS := $(patsubst tests/faults/%.cpp,$(BUILD)/tests/programs/%,$(wildcard tests/faults/*.cpp))

test: $(FAULT_PROGRAMS)

$(FAULT_PROGRAMS): $(BUILD)/tests/programs/%: $(BUILD)/tests/faults/%.o $(BUILD)/tests/loopback.o $(call objects,$(wildcard net/*.cpp))
	@mkdir -p $(@D)
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

# --- Faults of the library, each shown by a program ------------------------------------------------

LIBRARY_FAULTS := $(patsubst %.cpp,$(BUILD)/%,$(wildcard tests/library_faults/*.cpp))
.PHONY: library-faults

library-faults: $(LIBRARY_FAULTS)  ## show which known faults the installed cpp-httplib has
	@for fault in $(LIBRARY_FAULTS); do $$fault || exit 1; done

$(LIBRARY_FAULTS): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/loopback.o
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@
