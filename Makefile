# Two commands: `make atlas` builds the sample atlas into site/, `make test` runs every test.
# The virtual environment is made with uv where it is installed, with venv and pip where not.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
  CREATE := uv venv --quiet --python $(PYTHON) $(VENV)
  INSTALL := uv pip install --quiet --python $(BIN)/python
else
  CREATE := $(PYTHON) -m venv $(VENV)
  INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: atlas test lint types check clean

atlas: $(VENV)/.sample
	$(BIN)/atlas build
	@echo "open site/index.html"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

check: lint types test

$(BIN)/python:
	$(CREATE)

$(VENV)/.sample: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[sample]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[dev,sample]'
	PATH="$(CURDIR)/$(BIN):$$PATH" npm install --silent --no-fund --no-audit \
	  --prefix $(VENV)/checkers axe-core@4 vnu-jar@26
	@touch $@ $(VENV)/.sample

clean:
	rm -rf $(VENV) store build dist
