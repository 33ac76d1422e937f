# --- Texts: docs/check says what is checked -------------------------------------------------------

TEXTS := $(wildcard README.md */README.md */*/README.md docs/*.md)
.PHONY: docs-check

docs-check: $(PROGRAM)  ## check what the texts quote, show and name
	@PATIENCE=3 docs/check tests/docs/wrong.md 2>&1 | diff tests/docs/wrong.txt -
	@docs/check $(TEXTS)
