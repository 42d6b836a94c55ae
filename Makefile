# The one way to build, run and test looptop. Everything happens in .venv, made when missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LINKS := build/links/looptop

.PHONY: run test lint fuzz bench kills learn gpu screenshots clean

run: $(STAMP)
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/looptop; else $(BIN)/looptop demo; fi

# Two files at a time: what they start is small, and waits more than it computes.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP) $(LINKS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=build/links $(BIN)/mypy -p looptop.engine -p looptop.tui
	cd build/links && ../../$(BIN)/lint-imports --config ../../pyproject.toml

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
