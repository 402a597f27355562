## make demo    Detectron2 and the built-in model on sample images (ARGS="--no-viewer" keeps napari shut)
## make test    the whole test suite, in a real window on a virtual screen
## make lint    everything that CI checks without running the program
## VENV=folder and PYTHON=interpreter may be given with each.

VENV ?= .venv
PYTHON ?=
ARGS ?=
# Two processes: tests wait for windows and threads for much of their time.
PYTEST_ARGS ?= -n 2 --dist loadfile

BIN := $(VENV)/bin
# A small Mask R-CNN of Detectron2, trained on nuclei, to try a model that is not built in.
D2 := tests/data/detectron2_nuclei
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Linux gets a virtual screen (tests one for each process, by pytest-xvfb); macOS has its own.
XVFB := $(if $(filter Linux,$(shell uname -s)),xvfb-run -a -s "-screen 0 1600x1000x24",)

.PHONY: help demo test lint format docs-images build clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' Makefile

$(BIN)/python:
	@sh scripts/make-venv.sh "$(VENV)" $(PYTHON)

# One stamp for each set of extras: a second make installs nothing. Editable, so that edits count.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "Installing napari-instseg[$*] into $(VENV) (PyTorch is large: the first time takes a while)"
	@$(PIP) install --editable ".[$*]"
	@touch "$@"

# Detectron2 has no wheels: the program installs it. A second time it finds it there.
.PRECIOUS: $(VENV)/.installed-%
$(VENV)/.detectron2-%: $(VENV)/.installed-%
	@echo "Installing Detectron2 into $(VENV)"
	@$(BIN)/napari-instseg install detectron2 --quiet
	@touch "$@"

# What ours is checked against, without what it depends on: of StarDist (TensorFlow) only the scores
# are read; SAM 2 has no wheel, and would build itself beside a PyTorch of its own.
$(VENV)/.installed-peers: $(VENV)/.detectron2-test
	@$(PIP) install --no-deps "stardist>=0.9"
	@$(PIP) install "setuptools>=61" wheel "hydra-core>=1.3.2" "iopath>=0.1.10"
	@SAM2_BUILD_CUDA=0 $(PIP) install --no-deps --no-build-isolation "sam2>=1.1"
	@touch "$@"

demo: $(VENV)/.detectron2-all
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then sh scripts/setup-x.sh --desktop || true; fi
	@$(BIN)/napari-instseg segment src/napari_instseg/data/fluorescence.png --overwrite \
	  --output instseg-demo/detectron2 --model $(D2)/config.yaml --weights $(D2)/model.pth \
	  --categories $(D2)/categories.txt
	@$(BIN)/napari-instseg demo $(ARGS)

test: $(VENV)/.installed-peers
	@sh scripts/setup-x.sh
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/npe2 validate --imports napari-instseg

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs-images: $(VENV)/.installed-test
	@sh scripts/setup-x.sh
	@$(XVFB) $(BIN)/python scripts/screenshots.py

build: $(VENV)/.installed-dev
	$(BIN)/python -m build

clean:
	rm -rf build dist instseg-demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@echo "Kept: $(VENV) (remove it by hand)"
