# twograd: `make help` lists what there is to do. Nothing needs to be installed but Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null)

# $(call install,EXTRA,OPTIONS): the project with an extra, in $(VENV); by uv where it is present, by pip otherwise
ifdef UV
install = uv pip install --quiet --python $(RUN) $(2) --editable '.$(1)'
else
install = $(RUN) -m pip install --quiet --disable-pip-version-check $(2) --editable '.$(1)'
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest test-oracles test-cuda lint format generate figures gallery map bench bench-micrograd bench-tape gpu clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(RUN):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  f"twograd needs Python 3.11 or newer, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(if $(UV),uv venv --quiet --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))

# Stamps say which extras are installed; they are older than pyproject.toml when it has changed since.
$(VENV)/.base: pyproject.toml | $(RUN)
	@echo "installing twograd into $(VENV) ..."
	@$(call install,)
	@touch $@

$(VENV)/.test: pyproject.toml | $(RUN)
	@echo "installing twograd and its test extras into $(VENV) ..."
	@$(call install,[test])
	@touch $@ $(VENV)/.base

$(VENV)/.dev: pyproject.toml | $(RUN)
	@echo "installing twograd and its developer extras into $(VENV) ..."
	@$(call install,[dev])
	@touch $@ $(VENV)/.base $(VENV)/.test

# PyPI's PyTorch for Linux brings CUDA along; with PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu it does not.
$(VENV)/.peers: pyproject.toml | $(RUN)
	@echo "installing twograd and its peers, PyTorch, JAX and tinygrad, into $(VENV) ..."
	@$(call install,[peers])
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base  ## train one network on both engines, and draw what happens (saved in out/)
	@$(RUN) tutorials/01_two_engines.py

test: $(VENV)/.test  ## run all tests
	$(RUN) -m pytest -q

# Lessons and CUDA kernels are left out: they take half of the time, and use what the other tests have tried. An older
# Numba would throw away what the newer one keeps in the cache, and the other way round.
test-lowest:  ## run most tests with the oldest dependencies that pyproject.toml allows, in .venv-lowest
	@$(MAKE) --no-print-directory .venv-lowest/.lowest VENV=.venv-lowest
	NUMBA_CACHE_DIR=$(CURDIR)/.venv-lowest/cache .venv-lowest/bin/python -m pytest -q \
	  --ignore=tests/test_lessons.py --ignore=tests/test_ladder.py --ignore=tests/cuda

.venv-lowest/.lowest: pyproject.toml | $(RUN)
	@echo "installing the oldest dependencies into $(VENV) ..."
	@$(RUN) tests/lowest.py > $(VENV)/lowest.txt
	@$(call install,[test],--constraint $(VENV)/lowest.txt)
	@touch $@

test-oracles:  ## run the tests that compare with PyTorch and ONNX, and those beside them, in .venv-oracles
	@$(MAKE) --no-print-directory .venv-oracles/.oracles VENV=.venv-oracles
	.venv-oracles/bin/python -m pytest -q $$(grep -l 'importorskip..torch\|importorskip..onnx' tests/*.py)

.venv-oracles/.oracles: pyproject.toml | $(RUN)
	@echo "installing PyTorch and the test extras into $(VENV) ..."
	@$(call install,[oracles])
	@touch $@

test-cuda:  ## compile CUDA kernels and run them without a GPU, in .venv-cuda
	@$(MAKE) --no-print-directory .venv-cuda/.cuda VENV=.venv-cuda
	.venv-cuda/bin/python -m pytest -q tests/cuda

.venv-cuda/.cuda: pyproject.toml | $(RUN)
	@echo "installing NVIDIA's compiler and the test extras into $(VENV) ..."
	@$(call install,[cuda-test])
	@touch $@

lint: $(VENV)/.dev  ## check style, types, imports between folders, and that generated files are up to date
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(RUN) fast/generate.py --check

format: $(VENV)/.dev  ## let ruff format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

generate: $(VENV)/.base  ## write the elementwise kernels from the table of operations
	$(RUN) fast/generate.py

figures: $(VENV)/.base  ## draw the pictures of all lessons (in docs/)
	@for lesson in tutorials/[0-9]*.py; do echo "$$lesson ..."; $(RUN) $$lesson --figures docs || exit 1; done

gallery: $(VENV)/.base  ## draw the pictures of the README's gallery that are in no lesson (in docs/gallery/)
	@$(RUN) tutorials/gallery.py --figures docs/gallery

map: $(VENV)/.base  ## draw a map of 256 x 256 trainings (out/map.png), 5 minutes on two free cores; interrupted, it goes on
	@$(RUN) tutorials/map.py

bench: $(VENV)/.test $(VENV)/.peers  ## compare both engines, compiled and not, with micrograd, NumPy, PyTorch, JAX and tinygrad
	$(RUN) benchmarks/compare.py

bench-micrograd: $(VENV)/.test  ## compare a training step with micrograd's, without other peers
	$(RUN) benchmarks/micro_step.py

bench-tape: $(VENV)/.test $(VENV)/.peers  ## compare tapes and sweeps with both engines, micrograd, JAX and PyTorch
	$(RUN) benchmarks/tape_steps.py
	$(RUN) benchmarks/sweep_runs.py

# What is installed takes gigabytes, so first it is asked whether there is a driver.
gpu: $(VENV)/.base  ## try all kernels on this machine's GPU, and time them beside PyTorch (benchmarks/results), in .venv-gpu
	@$(RUN) benchmarks/gpu.py --driver
	@$(MAKE) --no-print-directory .venv-gpu/.gpu VENV=.venv-gpu
	.venv-gpu/bin/python benchmarks/gpu.py

.venv-gpu/.gpu: pyproject.toml | $(RUN)
	@echo "installing NVIDIA's compiler, PyTorch and the test extras into $(VENV) ..."
	@$(call install,[gpu])
	@touch $@

clean:  ## delete environments, caches and results
	rm -rf .venv .venv-lowest .venv-oracles .venv-cuda .venv-gpu out build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
