# make demo, make test: each creates the project's own environment in .venv where there is Python >= 3.11 with venv.
# A CPU-only torch (Linux; elsewhere it is the default): make TORCH_INDEX=<address of the CPU wheels> demo, see README.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Of all the modules that come, a few are ever imported: Python compiles those when they are.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
TORCH_INDEX ?=
WHEELS ?= dist

.PHONY: demo test lint types format wheel clean

demo: $(VENV)/.installed
	$(BIN)/python experiments/demo/demo.py

test: $(VENV)/.installed-tools
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

lint: $(VENV)/.installed-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-tools
	$(BIN)/mypy

format: $(VENV)/.installed-tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: | $(BIN)/python
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEELS) .

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "expected Python >= 3.11 with venv, got none: install it, or make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) torch --index-url $(TORCH_INDEX))
	$(PIP) --editable .
	@touch $@

# The tools with the rest: $(VENV)/.installed is a part of them.
$(VENV)/.installed-tools: pyproject.toml constraints.txt | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) torch --index-url $(TORCH_INDEX))
	$(PIP) --editable '.[test,lint]'
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) build dist *.egg-info
