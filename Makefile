# Sets everything up in .venv, from nothing but Python 3.11 or newer, make and git.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Two workers are what two cores carry; each keeps its kernels to one thread.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: demo test test-all test-jax test-torch test-tensorflow lint types doctest docs gallery wheel bench clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/jax: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "manyminima needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.[jax,dev]'
	@touch $@

.venv/all: .venv/jax
	$(PIP) --editable '.[jax,torch,tensorflow,dev]'
	@touch $@

.venv/docs: .venv/jax
	$(PIP) --editable '.[jax,docs]'
	@touch $@

.venv/bench: .venv/all
	$(PIP) --editable '.[jax,torch,tensorflow,dev,bench]'
	@touch $@

demo: .venv/jax  ## train a snapshot ensemble on the digits of scikit-learn, and report on it
	rm -rf runs/demo
	$(BIN)/manyminima train --data digits --model mlp --recipe snapshot --cycles 5 --peak 0.1 --epochs 60 --out runs/demo
	$(BIN)/manyminima evaluate runs/demo --html runs/demo/report.html

test: .venv/jax test-jax  ## run the test suite on JAX

test-all: .venv/all test-jax test-torch test-tensorflow  ## run the test suite on three backends

test-jax: .venv/jax
	KERAS_BACKEND=jax $(PYTEST)

test-torch: .venv/all
	KERAS_BACKEND=torch $(PYTEST)

test-tensorflow: .venv/all
	KERAS_BACKEND=tensorflow $(PYTEST)

lint: .venv/jax  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/all  ## check types
	$(BIN)/pyright

doctest: .venv/jax  ## run the examples in the docstrings
	KERAS_BACKEND=jax $(BIN)/python -m pytest --doctest-modules src/manyminima -p no:randomly -q

docs: .venv/docs  ## build the documentation site into site/, strictly, without the net
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

gallery: .venv/jax  ## draw the figures of the site's gallery anew
	$(BIN)/python docs/gallery.py

wheel: .venv/jax  ## build the wheel, and test the half that needs no Keras from it, in an empty folder
	BIN=$(abspath $(BIN)) PYTHON=$(PYTHON) tests/wheel.sh

# The long ones in small: what they say goes to the screen, and the recorded results stay.
bench: .venv/bench  ## measure every claim in under 15 minutes, and render benchmarks/README.md
	$(BIN)/python benchmarks/blobs.py --json benchmarks/results/blobs.json
	$(BIN)/python benchmarks/engine.py --repeats 2 --json benchmarks/results/engine.json
	$(BIN)/python benchmarks/mnist1d.py --json benchmarks/results/mnist1d.json
	$(BIN)/python benchmarks/writing.py --json benchmarks/results/writing_jax.json
	$(BIN)/python benchmarks/predict.py --json benchmarks/results/predict_jax.json
	$(BIN)/python benchmarks/gpu.py --json benchmarks/results/gpu.json
	$(BIN)/python benchmarks/coefficients.py --json benchmarks/results/coefficients.json
	$(BIN)/python benchmarks/averaging.py --json benchmarks/results/average_from_disk.json
	$(BIN)/python benchmarks/fit_overhead.py --pairs 3 --seconds 1
	$(BIN)/python benchmarks/averaging_overhead.py --pairs 2 --seconds 1
	$(BIN)/python benchmarks/render.py

clean:  ## remove what this file made
	rm -rf .venv build dist runs site
