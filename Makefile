# Needs make and a Python of at least 3.11; everything else goes into .venv.
#
#   make demo      survey the standard library and .venv's packages, then print the report of that run
#   make test      lint, types, import contracts, docs, tests, examples of the docs
#   make coverage  which lines and branches the tests reach, those on workers included: all of the core
#   make bench     what scalable costs, as ratios to bare Dask
#   make soak      ten minutes of tasks under fire, then an audit; SECONDS=60 is shorter, SEED=7 repeats one
#   make clean     remove what was built; `make distclean` removes .venv and .scalable as well
#
# PYTHON=python3.12 picks the interpreter; JOBS=0 runs the tests in one process.

.NOTPARALLEL:
.PHONY: demo test lint types contracts docs pytest coverage bench soak clean distclean help

VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
JOBS = 2
SECONDS = 600

# The first of these that starts, is recent enough and can make environments.
FIND_PYTHON = for p in $${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo "$$p"; break; }; done

help:
	@sed -n 's/^#   //p' Makefile

demo: $(READY)
	@$(BIN)/scalable run examples/stdlib_survey.py --manifest examples/stdlib_survey.yaml; \
	code=$$?; test $$code -eq 0 || test $$code -eq 3  # 3: it finished, and some files failed for good
	@$(BIN)/scalable report --last --failures

test: lint types contracts docs pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py

contracts: $(READY)
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/sphinx-build -n -W --keep-going -q docs docs/_build/html

# A file's tests stay together and in order: pages are read from the top, and clusters are shared per file.
pytest: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests docs tutorials README.md

coverage: $(READY)
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest tests --deselect tests/soak
	$(BIN)/coverage combine -q
	$(BIN)/coverage report
	$(BIN)/coverage report --include='scalable/core/*' --fail-under=100  # the part that decides

bench: $(READY)
	$(BIN)/python benchmarks/run.py

soak: $(READY)
	$(BIN)/python tests/soak/soak.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

$(READY): pyproject.toml constraints.txt $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,docs]'
	@touch $@

$(BIN)/python:
	@python=$$($(FIND_PYTHON)); \
	test -n "$$python" || { echo "scalable needs a Python of at least 3.11 with the venv module; none was found (PYTHON=/path/to/python names one)." >&2; exit 1; }; \
	"$$python" -m venv $(VENV)

clean:
	rm -rf build dist docs/_build .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .scalable
