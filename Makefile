# Set-up, the main job, the checks. `make demo` and `make test` do everything a fresh clone needs.

PYTHON ?= python3.11
BIN := .venv/bin
PROJECTS := $(wildcard plugins/*/*/pyproject.toml)
EDITABLES := $(patsubst %/pyproject.toml,-e ./%,$(PROJECTS))
SOURCES := $(wildcard plugins/*/*/src)
empty :=
MYPYPATH := .:$(subst $(empty) ,:,$(SOURCES))

.PHONY: install demo test lint test-slow bench science docs clean
.DEFAULT_GOAL := install

install: .venv/.installed

# One pip call for the core and every plugin, without build isolation: seconds instead of minutes.
.venv/.installed: pyproject.toml constraints.txt $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[test]' $(EDITABLES)
	touch $@

demo: install
	$(BIN)/deeplense run specs/quickstart.toml

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=$(MYPYPATH) $(BIN)/mypy deeplense_registry $(wildcard plugins/*/*/src/*)
	$(BIN)/lint-imports

test-slow: install
	$(BIN)/python -m pytest -m slow

bench: install
	for name in reader views simulator; do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done
	for file in benchmarks/bench_*.py benchmarks/equivariance_pays.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# Does pretraining pay? Hours of computing on two cores; a second call goes on where the first stopped.
science: install
	for name in pays pays-pairs; do \
		$(BIN)/deeplense run specs/$$name.toml || exit 1; \
		$(BIN)/deeplense compare runs/$$name --baseline supervised --efficiency --markdown || exit 1; \
		$(BIN)/deeplense compare runs/$$name --baseline untrained --markdown || exit 1; \
	done

# Documents that are made rather than written.
docs: install
	$(BIN)/deeplense schema -o specs/.schema.json

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
