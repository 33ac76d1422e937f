# --- Examples: see examples/README.md -------------------------------------------------------------

EXAMPLE_SOURCES := $(wildcard examples/*.cpp)
EXAMPLES := $(patsubst %.cpp,$(BUILD)/%,$(EXAMPLE_SOURCES))
.PHONY: examples run-NAME $(patsubst examples/%.cpp,run-%,$(EXAMPLE_SOURCES))

examples: $(EXAMPLES)  ## build and run all examples, and compare what they print
	@examples/check $(BUILD)/examples $(sort $(EXAMPLE_SOURCES:.cpp=.txt))

$(EXAMPLES): $(BUILD)/%: $(BUILD)/%.o $(call objects,$(wildcard net/*.cpp flag/*.cpp))
	$(LINK) $^ $(LDLIBS) $(HTTPLIB_LIBS) -o $@

$(patsubst examples/%.cpp,run-%,$(EXAMPLE_SOURCES)): run-%: $(BUILD)/examples/%
	@$< $(ARGS)

run-NAME:  ## run an example, with ARGS
	@echo 'NAME is one of: $(sort $(notdir $(EXAMPLES)))'
