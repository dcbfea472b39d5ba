# Everything a fresh machine needs: `make quickstart` and `make test` set themselves up (Python 3.11 or newer, Linux).
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= cpu,dev
TOOLS ?= .venv-tools
ROOT ?= runs/quickstart
FUZZ_EXECUTIONS ?= 200000
BIN := $(VENV)/bin
comma := ,
# torch and what its CUDA builds bring: which of them is installed is up to the machine.
NOT_LOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
  nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
INSTALLED := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
# Two test processes at a time, with one thread each: three were no faster on two cores, and starved Ray.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0

.PHONY: install quickstart test test-long test-studies test-faults test-fast lint types check bench fuzz lock audit sbom install-locked clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	touch $@

# The same versions, each file held against the hashes of requirements.lock; torch apart, whose builds are many.
install-locked:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(INSTALLED)

quickstart: $(INSTALLED)  ## the main job on the embedded data set: train three mixes, compare, report
	$(BIN)/mixlingual run --config jobs/configs/quickstart.yaml --root $(ROOT)

test: $(INSTALLED)  ## everything that needs no GPU; starts real Ray clusters and worker processes
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not long and not studies and not faults'

test-long: $(INSTALLED)  ## what takes minutes: a host that is lost, a gibibyte through S3 servers, studies of mixes
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m long

test-studies: $(INSTALLED)  ## the quick start submitted to a cluster in both ways, whole
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m studies

test-faults: $(INSTALLED)  ## kill -9 at random moments, nodes that go, full disks, lost networks: half an hour
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n 2 --dist loadfile -m faults

test-fast: $(INSTALLED)  ## without the tests that start clusters or worker processes
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not ray and not distributed and not slow and not long and not studies and not faults'

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

fuzz:  ## readers under atheris; FUZZ_EXECUTIONS of all together, findings in runs/fuzz
	$(MAKE) install EXTRAS=$(EXTRAS),fuzz
	$(TEST_ENVIRONMENT) $(BIN)/python tests/fuzz/run.py --executions $(FUZZ_EXECUTIONS) --processes 2

check: lint types test-long test

$(TOOLS)/.installed: Makefile
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 pip-audit==2.10.1 cyclonedx-bom==7.5.0
	touch $@

lock: $(TOOLS)/.installed  ## requirements.lock from pyproject.toml and constraints.txt
	$(TOOLS)/bin/uv pip compile pyproject.toml --extra cpu --extra dev --extra fuzz -c constraints.txt --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header $(addprefix --no-emit-package ,$(NOT_LOCKED)) \
	  --quiet --output-file requirements.lock

audit: $(TOOLS)/.installed  ## known vulnerabilities of the pinned versions; needs the network, and fails without it
	grep -E '^[A-Za-z0-9_.-]+==' constraints.txt > $(TOOLS)/pinned.txt
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r $(TOOLS)/pinned.txt

sbom: $(INSTALLED) $(TOOLS)/.installed  ## sbom.json: what is installed, in CycloneDX's form
	$(TOOLS)/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-file sbom.json

bench: $(INSTALLED)  ## is anything slower than it was? short runs beside benchmarks/reference.json
	$(BIN)/python benchmarks/regression.py

clean:
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
