# `make demo` is the first thing to run; `make test` is what a change must pass.
# Everything is installed into .venv, with the versions of constraints.txt, and nothing outside it is touched.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

# The ns-* commands and ruff, pyright and pytest are found without an activated environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install demo test test-browser bench results-main results-export results-real-world results-queries family clean

help:
	@echo "make install         make .venv and install ovs3d into it"
	@echo "make demo            train, evaluate and render the bundled scene, on any machine, without network"
	@echo "make test            ruff, pyright and pytest"
	@echo "make test-browser    the viewer's panel in Chromium, some minutes without a GPU"
	@echo "make bench           measure speed, write docs/results/benchmarks.json"
	@echo "make results-main    measure the main table, write docs/results/main.json"
	@echo "make results-export  measure exports of a run of results-main, write docs/results/export.json"
	@echo "make results-queries     ask four scenes what is known of them, write docs/results/queries.json"
	@echo "make results-real-world  measure real photographs where they are, write docs/results/real-world.json"
	@echo "make clean           remove .venv and caches; outputs/ stays"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "ovs3d needs Python 3.11; name one with: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: install
	$(BIN)/ovs3d demo

test: install
	ruff check .
	ruff format --check .
	pyright
	pytest

test-browser: install
	pytest -m browser

bench: install
	$(BIN)/python -m tools.benchmark

results-main: install family
	$(BIN)/python -m tools.results_main

results-export: install
	$(BIN)/python -m tools.results_export --run-path outputs/results-main/room-full/ovs3d-tiny/seed-0

results-queries: install family
	$(BIN)/python -m tools.results_queries

results-real-world: install outputs/yard
	$(BIN)/python -m tools.results_real_world

family: install outputs/family/101 outputs/family/102 outputs/family/103

outputs/family/%:
	$(BIN)/python tools/make_scene.py --seed $* --out $@ --renderer raycast

outputs/yard:
	$(BIN)/python tools/make_scene.py --seed 104 --out $@ --renderer raycast --surroundings 8

clean:
	rm -rf .venv .pytest_cache .ruff_cache *.egg-info
