# --- Examples: see examples/README.md -------------------------------------------------------------

EXAMPLE_SOURCES := $(wildcard examples/*.cpp examples/pitfalls/*.cpp)
EXAMPLES := $(patsubst %.cpp,$(BUILD)/%,$(EXAMPLE_SOURCES))
RUN_EXAMPLES := $(addprefix run-,$(notdir $(EXAMPLES)))
.PHONY: examples pitfalls run-NAME $(RUN_EXAMPLES)

examples: $(EXAMPLES)  ## build and run all examples, and compare what they print
	@examples/check $(BUILD)/examples $(sort $(EXAMPLE_SOURCES:.cpp=.txt))

pitfalls: $(filter $(BUILD)/examples/pitfalls/%,$(EXAMPLES))  ## build, run and compare those of examples/pitfalls alone
	@examples/check $(BUILD)/examples $(sort $(patsubst %.cpp,%.txt,$(wildcard examples/pitfalls/*.cpp)))

$(EXAMPLES): $(BUILD)/%: $(BUILD)/%.o $(call objects,$(wildcard net/*.cpp))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

$(foreach example,$(EXAMPLES),$(eval run-$(notdir $(example)): $(example)))
$(RUN_EXAMPLES):
	@$< $(ARGS)

run-NAME:  ## run an example, with ARGS
	@echo 'NAME is one of: $(sort $(notdir $(EXAMPLES)))'
