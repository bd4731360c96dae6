# What can be done here; every target sets up what it needs.
#
#   make demo               a whole therapy course to FHIR and back; INPUT=bundle.json for your own
#   make test               the tests
#   make test-postgres      those of the server on PostgreSQL, if its programs are here
#   make agreement          how far the validator agrees with HL7's, on its recorded outcomes
#   make reference          the same on fresh mutants, with HL7's validator running (Java, Maven)
#   make mutants            changes code at random and counts the changes that no test notices
#   make check              all that CI runs
#
# PYTHON=/path/to/python3.13 chooses the interpreter, VENV=.venv-3.13 the environment.

PYTHON ?= python3
VENV   ?= .venv
INPUT  ?=
SAMPLE ?= 200
CORES  ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# tests start many processes; without compiled modules, each would compile the library again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-postgres slow mutants lint types laws agreement reference bench wheel check \
	clean

demo: $(VENV)/.core
	@$(BIN)/python -m fhir_b12 demo $(if $(INPUT),"$(INPUT)")

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(CORES) --dist worksteal

slow: $(VENV)/.dev
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n $(CORES) --dist worksteal \
		-m "slow or drawn"

test-postgres: $(VENV)/.dev
	$(BIN)/python -m tests.server.cluster $(BIN)/python -m pytest -n $(CORES) --dist worksteal \
		-m "slow or not slow" tests/server tests/clients

# make mutants ONLY="units fhirpath" SAMPLE=50 SEED=7; CHANGED=main for the lines changed since main
mutants: $(VENV)/.dev
	$(BIN)/python -m tests.mutation --jobs $(CORES) --sample $(SAMPLE) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only $(ONLY)) $(if $(CHANGED),--changed $(CHANGED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(MINIMUM),--minimum $(MINIMUM))

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

laws: $(VENV)/.dev
	$(BIN)/python -m tests.laws

agreement: $(VENV)/.dev
	$(BIN)/python -m pytest tests/conformance
	$(BIN)/python -m tests.conformance

reference: $(VENV)/.dev
	$(BIN)/python -m tests.conformance.reference $(MUTANTS)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.validation
	$(BIN)/python -m benchmarks.facade

wheel: $(VENV)/.dev
	$(BIN)/python tools/check_wheel.py

check:
	bash .ci/run

clean:
	rm -rf .venv .venv-3.* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.core: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit("fhir-b12 needs Python 3.11 or newer and this is %d.%d: make PYTHON=/path/to/python3.11" % v[:2] if v < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --editable '.[server]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@$(PIP) install --editable '.[dev,models]'
	@touch $@
