# Every target sets up what it needs on a fresh machine: `make demo` and `make test` are enough.
#
#   PYTHON      the interpreter that makes .venv (3.11 or newer)
#   TORCH_ARGS  more options for the installation of torch, for example
#               make demo TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
#               where PyPI's torch would bring CUDA libraries that the machine has no use for.

PYTHON ?= python3
TORCH_ARGS ?=

VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check
PYTEST := $(RUN) -m pytest
# Two processes with one thread each, a test file in one of them.
PARALLEL := OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile
DOCS_VENV := build/docs-venv
DOCS := $(DOCS_VENV)/.ready

# Panels and views are drawn without a screen.
export QT_QPA_PLATFORM ?= offscreen

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-slicer lint docs bench sample screenshots icons cmake-lists architecture constraints clean distclean

help:  ## say what there is to make
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11, which the pinned packages need. Choose another: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@# torch first and alone, so that nothing else chooses which build of it comes.
	$(PIP) install --quiet $(TORCH_ARGS) "$$(grep '^torch==' constraints.txt)"
	$(PIP) install --quiet --constraint constraints.txt --editable ".[test]"
	@touch $@

setup: $(READY)  ## make .venv with all that the other targets need

demo: $(READY)  ## run the three modules on the embedded head, or on INPUT=FILE; pictures go to demo-output/
	$(RUN) Testing/demo.py $(if $(INPUT),--input "$(INPUT)")

test: lint  ## lint and all tests that a change must pass
	$(PARALLEL) -m "not slow"

test-all: lint  ## the same with the slow tests
	$(PYTEST)

test-slicer: $(READY)  ## tests of modules and bridge on Slicer's own Python files: SLICER_SOURCE=FOLDER [CTK_SOURCE=, PYTORCH_SOURCE=]
	@test -n "$(SLICER_SOURCE)" || { echo "make test-slicer SLICER_SOURCE=FOLDER: a work tree of Slicer's source, see CONTRIBUTING.md" >&2; exit 1; }
	SLICER_SOURCE="$(abspath $(SLICER_SOURCE))" CTK_SOURCE="$(abspath $(CTK_SOURCE))" \
	  PYTORCH_SOURCE="$(abspath $(PYTORCH_SOURCE))" \
	  $(PARALLEL) -m slicer -r s

lint: $(READY)  ## ruff, mypy, the file lists of the CMake files and the table of rooms
	$(RUN) -m ruff check .
	$(RUN) Testing/update_cmake_lists.py --check
	$(RUN) Testing/update_architecture.py --check
	$(RUN) Testing/check_types.py

docs: $(DOCS)  ## build the site of docs/ into build/docs, in an environment of its own
	NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 $(DOCS_VENV)/bin/python -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

$(DOCS): pyproject.toml
	test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check install --quiet $$(sed -n '/^docs = \[/,/^\]/s/^ *"\(.*\)",$$/\1/p' pyproject.toml)
	@touch $@

bench: $(READY)  ## measure speed and memory on an idle machine; results go to Testing/Benchmarks/results
	@set -e; for script in Testing/Benchmarks/bench_*.py; do echo "== $$script"; $(RUN) "$$script"; done

sample: $(READY)  ## compute the embedded head again from the label maps of the data folder (MEDDL_DATA)
	$(RUN) -c "from meddl.core.paths import data_folder; from meddl.synthesis.atlas import write_atlas; \
	  write_atlas((data_folder() or exit('set MEDDL_DATA to the data folder')) / 'labelmaps', 'Resources/MedDL/Samples')"

screenshots: $(READY)  ## draw the panels and views of Resources/Screenshots again
	$(RUN) Testing/draw_screenshots.py

icons: $(READY)  ## draw the icons again
	$(RUN) Resources/Icons/draw_icons.py

cmake-lists: $(READY)  ## bring the file lists of the CMake files up to date
	$(RUN) Testing/update_cmake_lists.py

architecture: $(READY)  ## bring the table of rooms in ARCHITECTURE.md up to date
	$(RUN) Testing/update_architecture.py

constraints: $(READY)  ## pin what .venv holds now
	@{ sed -n '/^#/p' constraints.txt; \
	   $(PIP) freeze --exclude-editable --exclude meddl | sed -E 's/^(torch==[^+]*)\+.*/\1/'; } > constraints.tmp
	@mv constraints.tmp constraints.txt && touch $(READY)

clean:  ## remove caches and outputs
	rm -rf demo-output build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## remove .venv too
	rm -rf $(VENV)
