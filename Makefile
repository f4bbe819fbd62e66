# Needs Python 3.11 or later and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
# As the group `dev` in pyproject.toml, which the pip of Python 3.11 does not know yet.
DEV := "atheris>=3; python_version < '3.14' and sys_platform == 'linux'" "hypothesis>=6" "ipykernel>=6.29" \
  "aiobotocore==3.10.0" "boto3==1.43.117" "moto[s3,server]==5.2.5" "python-dateutil<3" "mypy>=1.15" "nbclient>=0.10" "pytest>=8.3" "pytest-xdist>=3.6" "ruff>=0.11"

.PHONY: demo test machine slow torch crash fuzz bench train clean

demo: .venv/installed  ## index the bundled pictures with the bundled model and ask five questions
	$(BIN)/glimpse demo

test: .venv/dev  ## lint, type-check, test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

machine:  ## what the slower checks want and Python cannot install: a font, strace (Debian, as root)
	@fc-list 2>/dev/null | grep -q NotoColorEmoji || test -f /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf || \
	  { apt-get update -qq && apt-get install -y -qq fonts-noto-color-emoji; } || \
	  echo "fonts-noto-color-emoji is not installed: the check of the demo model's figures will be skipped"
	@which strace > /dev/null || { apt-get update -qq && apt-get install -y -qq strace; } || \
	  echo "strace is not installed: the check of power loss will be skipped"

slow: .venv/dev  ## the checks that take longer: the demo model's figures, a namespace without a network
	$(BIN)/pytest -m slow

torch: .venv/torch  ## the torch runtime on the processor, which is a large library to install
	$(BIN)/pytest tests/test_torch.py tests/test_bare.py tests/test_runtimes.py -k "torch"

crash: .venv/dev  ## kill, stop and starve indexing runs at 200 random moments each, and look at what is left (half an hour)
	$(BIN)/python tools/crash.py all --times 200

fuzz: .venv/dev  ## 100,000 damaged files through sniffing and decoding
	$(BIN)/python tools/fuzz --runs 100000 --artifacts build/fuzz

bench: .venv/bench  ## print our speed beside others', as ratios from one run (two hours; leave the machine alone)
	$(BIN)/python benchmarks/indexing.py
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/towers.py
	$(BIN)/python benchmarks/peak.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/fidelity.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/text_query.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/report.py

train: .venv/train  ## train the demo model anew and write its evaluation and pictures (an hour on two cores)
	$(BIN)/python tools/train_demo_model.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("glimpse needs Python 3.11 or later: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[video]"
	touch $@

.venv/dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[automm,onnx,parquet,remote,video,watch]" $(DEV)
	touch $@

# The version whose build for processors alone is small, where the package index has one.
.venv/torch: .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check "torch==2.13.0"
	touch $@

.venv/bench: .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[bench]"
	touch $@

.venv/train: .venv/dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[train]"
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
