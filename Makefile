# Everything runs in .venv; plain `snakemake` inside it is the documented way.
# GPU=yes adds torch, which only GPUs need; a set-up that has it keeps it.

PYTHON ?= python3
GPU ?= $(if $(wildcard .venv/.with-gpu-yes),yes,no)
CORES ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")

BIN := $(CURDIR)/.venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
EXTRA := $(if $(filter yes,$(GPU)),[gpu])
STAMP := .venv/.with-gpu-$(GPU)
DEV_STAMP := .venv/.for-development
BENCH_STAMP := .venv-bench/.complete
PLANS_STAMP := .venv-plans/.complete
# It requires another PEFT; what the tests import of it does not.
AXOLOTL := axolotl==0.19.0 addict==2.4.0 colorama==0.4.6
# Many tests wait (for a server, a scheduler, a browser), and those of one file share what they made.
PYTEST := python -m pytest --numprocesses 2 --dist loadfile

export PATH := $(BIN):$(PATH)
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help setup run test test-unit slow lint format bench docs images constraints clean \
  clean-results

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv with all that a run needs (GPU=yes: with torch)

.venv/bin/python:
	$(PYTHON) -m venv .venv

$(STAMP): pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv: about $(if $(EXTRA),5 GB with torch,1 GB), some minutes."
	$(PIP) --editable ".$(EXTRA)"
	rm -f .venv/.with-gpu-*
	touch $@
	@$(BIN)/python -c "from blockresearch.device import unused_gpu; print(unused_gpu() or '', end='')"

$(DEV_STAMP): pyproject.toml $(STAMP)
	$(PIP) --editable ".[dev,gpu]"
	touch $@

run: setup ## analyze the bundled demo (or what config/config.yaml says)
	snakemake --cores $(CORES)

test: test-unit ## all tests but the slow ones: those without Snakemake first
	$(PYTEST) -m "not slow" tests/workflow

test-unit: $(DEV_STAMP) ## tests without Snakemake: modules, properties, command lines
	$(PYTEST) -m "not slow" --ignore=tests/workflow

$(PLANS_STAMP): requirements-plans.txt
	@echo "Installing the tools that execute plans into .venv-plans: 2 GB, some minutes."
	$(PYTHON) -m venv .venv-plans
	.venv-plans/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	.venv-plans/bin/python -m pip install --disable-pip-version-check --quiet --no-deps $(AXOLOTL)
	touch $@

slow: $(DEV_STAMP) $(PLANS_STAMP) ## the proofs that take minutes
	$(PYTEST) -m slow

lint: $(DEV_STAMP) ## formats, lint, types, snakemake --lint
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow/rules
	mypy
	snakemake --lint

format: $(DEV_STAMP) ## put Python and rules into the house format
	ruff format .
	ruff check --fix .
	snakefmt Snakefile workflow/rules

$(BENCH_STAMP): tests/benchmarks/requirements.txt | .venv/bin/python
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --requirement tests/benchmarks/requirements.txt
	touch $@

bench: $(DEV_STAMP) $(BENCH_STAMP) ## measure speed against the alternatives (BENCH_MODEL=folder)
	python -m tests.benchmarks.engine $(BENCH_MODEL)
	python -m tests.benchmarks.formats
	python -m tests.benchmarks.embedding $(firstword $(BENCH_MODEL))
	python -m tests.benchmarks.circuits $(or $(firstword $(BENCH_MODEL)),resources/demo)
	python -m tests.benchmarks.comparison $(firstword $(BENCH_MODEL))
	python -m tests.benchmarks.scale
	python -m tests.benchmarks.workflow $(BENCH_MODEL)
	python -m tests.benchmarks.predictions resources/demo $(BENCH_MODEL)

docs: $(STAMP) ## the manual's column lists from the table schemas
	python -m docs.outputs

images: $(DEV_STAMP) ## the README's pictures, from pages of the demo model and of a copy of it
	python -m tests.cases.variants resources/demo build low_rank
	snakemake --cores $(CORES) --config model=build/low_rank base=resources/demo \
	  analyses=[tensors,embedding,circuits] results=build/images
	python -m docs.images build/images

constraints: $(DEV_STAMP) ## write constraints.txt anew from .venv
	python tests/tools/constraints.py > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean: ## remove what was built and cached; results, weights and Snakemake's records stay
	rm -rf .venv .venv-bench .venv-plans build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-results: ## say what lies in results, and delete it once you have agreed
	@du -sh results/*/ 2>/dev/null || echo "nothing in results"
	@read -r -p "Delete all of results, with Snakemake's records of it? [y/N] " answer; \
	  [ "$$answer" = y ] && rm -rf results/* .snakemake/metadata || echo "nothing was deleted"
