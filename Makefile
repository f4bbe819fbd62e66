# Needs Python 3.11 or later and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test machine slow bench train clean

demo: .venv/installed  ## index the bundled pictures with the bundled model and ask five questions
	$(BIN)/glimpse demo

test: .venv/dev  ## lint, type-check, test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow"

machine:  ## what the slower checks want and Python cannot install: the font of the demo scenes (Debian, as root)
	@fc-list 2>/dev/null | grep -q NotoColorEmoji || test -f /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf || \
	  { apt-get update -qq && apt-get install -y -qq fonts-noto-color-emoji; } || \
	  echo "fonts-noto-color-emoji is not installed: the check of the demo model's figures will be skipped"

slow: .venv/dev  ## the checks that take longer: the demo model's figures, a namespace without a network
	$(BIN)/pytest -m slow

bench: .venv/bench  ## print our speed beside transformers', as ratios from one run
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/peak.py
	$(BIN)/python benchmarks/text_query.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/report.py

train: .venv/train  ## train the demo model anew and write its evaluation and pictures (an hour on two cores)
	$(BIN)/python tools/train_demo_model.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("glimpse needs Python 3.11 or later: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e . "hypothesis>=6" "ipykernel>=6.29" "mypy>=1.15" "nbclient>=0.10" "pandas>=2" "pyarrow>=15" "pytest>=8.3" "ruff>=0.11"
	touch $@

.venv/bench: .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[bench]"
	touch $@

.venv/train: .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[train]"
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
