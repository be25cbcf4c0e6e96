# What a stranger types: `make search`, `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONVERTERS := $(VENV)/.converters
# One thread per process: in small tests, threads of torch only wait for each other. One process more than cores: a third
# of the time tests wait for processes that they have started.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(shell expr $(shell nproc 2>/dev/null || echo 2) + 1) --maxprocesses 5 --dist worksteal

.PHONY: help setup converters search test test-slow check bench experiments docs clean

help:  ## say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(STAMP)  ## make .venv with everything for development, and mnas in it

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mnas needs Python 3.11 or newer, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

search: setup  ## search a network for this machine's CPU on handwritten digits (about five minutes)
	$(BIN)/mnas search quickstart

test: setup  ## pass the quick tests (about five minutes on two cores)
	$(PYTEST)

test-slow: setup converters  ## pass the slow tests (under forty minutes)
	$(PYTEST) -m slow

# Apart from setup, because they are 1.2 GB that the quick tests do without.
converters: $(CONVERTERS)  ## add LiteRT and ExecuTorch with their converters to .venv

$(CONVERTERS): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[litert,executorch]'
	touch $(CONVERTERS)

check: setup  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## print every benchmark's table and JSON line
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# The two that train need Fashion-MNIST: make experiments DATA=fashion-mnist.npz. Without it they only draw.
experiments: setup  ## run what the paper's experiments lack, and make their figures and tables again
	for script in experiments/[a-z]*.py; do \
	  case $$script in \
	    */proxy_ranking.py|*/factorized_vs_layerwise.py) flags="$(if $(DATA),--data $(DATA),--plot)";; \
	    *) flags="";; \
	  esac; $(BIN)/python $$script $$flags || exit 1; \
	done

docs: setup  ## make the figures in docs/ again
	$(BIN)/python docs/figures.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
