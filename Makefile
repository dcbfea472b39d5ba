# Everything a fresh machine needs: `make quickstart` and `make test` set themselves up (Python 3.11 or newer, Linux).
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= cpu,dev
ROOT ?= runs/quickstart
FUZZ_EXECUTIONS ?= 200000
BIN := $(VENV)/bin
comma := ,
INSTALLED := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
# Two test processes at a time, with one thread each: three were no faster on two cores, and starved Ray.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0

.PHONY: install quickstart test test-long test-studies test-fast lint types check bench fuzz clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	touch $@

quickstart: $(INSTALLED)  ## the main job on the embedded data set: train three mixes, compare, report
	$(BIN)/mixlingual run --config jobs/configs/quickstart.yaml --root $(ROOT)

test: $(INSTALLED)  ## everything that needs no GPU; starts real Ray clusters and worker processes
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not long and not studies'

test-long: $(INSTALLED)  ## what takes minutes: a host that is lost, a gibibyte through S3 servers
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m long

test-studies: $(INSTALLED)  ## whole small studies: schedulers, searches, populations, failing trials
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m studies

test-fast: $(INSTALLED)  ## without the tests that start clusters or worker processes
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not ray and not distributed and not slow and not long and not studies'

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

fuzz:  ## readers under atheris; FUZZ_EXECUTIONS of all together, findings in runs/fuzz
	$(MAKE) install EXTRAS=$(EXTRAS),fuzz
	$(TEST_ENVIRONMENT) $(BIN)/python tests/fuzz/run.py --executions $(FUZZ_EXECUTIONS) --processes 2

check: lint types test-long test

bench: $(INSTALLED)
	$(BIN)/python benchmarks/xquad_settings.py

clean:
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
