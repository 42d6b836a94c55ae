# The one way to build, run and test looptop. Everything happens in .venv, made when missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LINKS := build/links/looptop

PYTEST := $(BIN)/python -m pytest
# Four at a time on two cores: many tests wait for a process of their own. A file's tests stay together for as long as
# nobody is idle, so that what they share is made once.
WORKERS ?= 4
SPREAD := -n $(WORKERS) --dist worksteal

# Where it is set, each of the hundreds of processes that the tests start would compile looptop and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-fast test-nightly coverage lint fuzz bench kills learn gpu screenshots clean

run: $(STAMP)
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/looptop; else $(BIN)/looptop demo; fi

# Lint and types run beside the tests; what they print comes last, where it is seen.
test: $(STAMP) $(LINKS)
	@$(MAKE) --no-print-directory lint > build/lint.log 2>&1 & lint=$$!; \
	trap 'kill $$lint' INT TERM; \
	$(PYTEST) $(SPREAD); tests=$$?; \
	wait $$lint; checks=$$?; \
	echo; cat build/lint.log; \
	test $$checks -eq 0 || echo "make lint failed: see above"; \
	test $$tests -eq 0 || echo "tests failed: see above"; \
	test $$tests -eq 0 && test $$checks -eq 0

# For the inner loop: nothing that starts a process, opens a terminal or the app, trains, or damages files over and over.
test-fast: $(STAMP)
	$(PYTEST) $(SPREAD) -m "not slow"

# Hundreds of new examples for each property.
test-nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly $(PYTEST) $(SPREAD)

# The lines that the tests run, in this process and in those that they start; fails below the floor in pyproject.toml.
coverage: $(STAMP)
	@mkdir -p build/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SPREAD)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(STAMP) $(LINKS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=build/links $(BIN)/mypy build/links/looptop tests scripts examples
	cd build/links && $(abspath $(BIN))/lint-imports --config $(CURDIR)/pyproject.toml

# Runs and imports damaged in thousands of ways; `make fuzz COUNT=20000 SEED=3` for other ones.
fuzz: $(STAMP)
	$(BIN)/python -m scripts.fuzz --count $(or $(COUNT),2000) --seed $(or $(SEED),0)

bench: $(STAMP)
	$(BIN)/python -m scripts.bench

kills: $(STAMP)
	$(BIN)/python -m scripts.kills

learn: $(STAMP)
	$(BIN)/python -m scripts.learn

# All of it, or some: `make gpu PARTS="recordings answers"`, `make gpu QUICK=1`, `make gpu DEVICE=cpu` (toy sizes).
gpu: $(STAMP)
	$(BIN)/python -m scripts.gpu $(PARTS) --device $(or $(DEVICE),cuda) $(if $(QUICK),--quick)

screenshots: $(STAMP)
	$(BIN)/python -m scripts.screenshots

clean:
	rm -rf $(VENV) build dist *.egg-info

# Pinned torch first, so that no resolver is tempted by a newer one; then the rest under the same constraints.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "looptop needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing looptop into $(VENV) (once; some minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The folders stand at the top, their import names below `looptop`: static tools follow two links.
$(LINKS):
	mkdir -p $(LINKS)
	ln -sfn ../../../engine $(LINKS)/engine
	ln -sfn ../../../tui $(LINKS)/tui
