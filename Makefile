PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
HERE := $(CURDIR)

# the nets are small: a second thread inside one product costs more than it gives
export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg

DEMO_ARGS ?=
QUICK ?=
STUDY_ARGS ?=
PYTEST_ARGS ?= -n auto --maxprocesses 4

.DEFAULT_GOAL := help
.PHONY: help install demo demo-short study physics-network test lint format types docs browser clean distclean FORCE

help:
	@echo "make install     .venv with pinned versions (the targets below do it when needed)"
	@echo "make demo        identify, certify and control the reactor; results in out/"
	@echo "                 QUICK=1 for the short one; DEMO_ARGS=\"...\" is passed on"
	@echo "make study       five families, free and certified, on two plants; docs/study.md and out/study.html;"
	@echo "                 goes on where it was stopped; STUDY_ARGS=\"...\" is passed on"
	@echo "make physics-network  networks wired like the plant against black boxes; docs/physics_networks.md"
	@echo "make test        the whole test suite; PYTEST_ARGS=\"tests/test_x.py -x\" for a part"
	@echo "make lint        ruff check and format, nothing is changed"
	@echo "make format      ruff format and the fixes that are safe"
	@echo "make types       pyright on the packages"
	@echo "make docs        the documentation as a site, in site/; a warning is an error"
	@echo "make browser     the pages of make demo in Chromium: widths, light, dark, A4, sorting; pictures in out/browser/"
	@echo "make clean       remove results and caches; distclean removes .venv too"
	@echo "PYTHON=python3.12 chooses the interpreter that .venv is made from"

install: $(STAMP)

# the stamp holds the folder and is written last: a .venv that was interrupted, moved, or no longer
# runs counts as not installed and is made anew
INTACT := $(shell test "$$(cat $(STAMP) 2>/dev/null)" = "$(HERE)" && $(PY) -m pip --version >/dev/null 2>&1 && echo yes)
ifneq ($(INTACT),yes)
$(STAMP): FORCE
endif

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed, $(PYTHON) is not; try make PYTHON=python3.11"; exit 1; }
	@if [ "$(INTACT)" != yes ]; then \
	  echo "making a new $(VENV)"; rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); fi
	@rm -f $@
	@echo "installing what constraints.txt pins; a minute or two when nothing is there yet"
	$(PY) -m pip install -qq -c constraints.txt setuptools
	$(PY) -m pip install -qq --no-build-isolation -c constraints.txt -e '.[data,cluster,tune,interop,dev]'
	@echo "$(HERE)" > $@

demo: $(STAMP)
	@mkdir -p out
	$(PY) examples/reactor.py $(if $(QUICK),--quick) $(DEMO_ARGS)

demo-short:
	@$(MAKE) --no-print-directory demo QUICK=1

study: $(STAMP)
	$(PY) benchmarks/study.py $(if $(QUICK),--quick,--docs) $(STUDY_ARGS)

physics-network: $(STAMP)
	$(PY) benchmarks/physics_network.py $(if $(QUICK),--quick,--docs)

test: $(STAMP)
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(STAMP)
	$(PY) -m pyright --pythonpath $(PY)

# its packages are installed the first time it is asked for: tests need none of them
docs: $(STAMP)
	$(PY) -m pip install -qq -c constraints.txt --no-build-isolation -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

browser: $(STAMP)
	$(PY) tests/browser.py out/*.html

clean:
	rm -rf out site build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
