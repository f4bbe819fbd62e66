# Needs Python 3.11 or later and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow bench train fixtures clean

demo: .venv/installed  ## index the bundled pictures with the bundled model and ask five questions
	$(BIN)/glimpse demo

test: .venv/dev  ## lint, type-check, test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow"

slow: .venv/dev  ## the checks that take longer: the demo model's figures, a namespace without a network
	$(BIN)/pytest -m slow

bench: .venv/bench  ## print our speed beside transformers', as ratios from one run
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/text_query.py
	$(BIN)/python benchmarks/cold_start.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e . "hypothesis>=6" "mypy>=1.15" "pyarrow>=15" "pytest>=8.3" "ruff>=0.11"
	touch $@

.venv/bench: .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[bench]"
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
