# `make` alone tells what there is. Everything sets itself up in .venv; nothing needs to run beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=

.PHONY: help setup demo test test-all check bench torture clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): pyproject.toml
	$(PYTHON) tools/setup_venv.py $(VENV)
	@touch $(READY)

setup: $(READY)  ## make the virtual environment with everything in it

demo: $(READY)  ## the sign-up story on real input (ARGS=--once: without a person, checked)
	$(BIN)/dray demo $(ARGS)

test: $(READY)  ## all tests that a change must pass
	$(BIN)/python tools/test.py $(ARGS)

test-all: $(READY)  ## the tests on every Python from 3.11 to 3.13 that is found
	$(BIN)/python tools/test_all.py $(ARGS)

check: $(READY)  ## lint, types, import contracts
	$(BIN)/ruff check src tests bench tools examples
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(READY)  ## every figure beside the bare engine's and a rival's (ARGS="--quick --store postgres drain")
	$(BIN)/python -m bench $(ARGS)

torture: $(READY)  ## the slow, destructive tests
	$(BIN)/python -m pytest tests -m torture -o addopts="-q --strict-markers" --timeout 900 $(ARGS)

clean:  ## remove what was made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-data bench/results
