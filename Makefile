# make demo: install and segment the sample images.   make test: install what tests need and run all checks.
# make docs: the documentation as a site in build/site.
# All need Python 3.11 or newer and nothing else. make demo PYTHON=/path/to/python names another one.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet --constraint constraints.txt --editable

# tests/export runs apart: in a process that used OpenVINO 2026.4 and then ran many other tests, a later subprocess
# ended pytest with SIGSEGV, three times of three with all tests in one process; the cause was not found.
.PHONY: demo docs test
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	@$(BIN)/mlffm-segdiff demo

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 2 --dist loadfile --ignore tests/export
	$(BIN)/pytest tests/export

docs: $(VENV)/.installed-dev
	@$(BIN)/python tools/build_site.py
	@echo "the site: build/site/index.html"

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); this takes some minutes, once"
	@$(BIN)/python tools/install_torch.py
	@$(INSTALL) .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the tests need into $(VENV); this takes some minutes, once"
	@$(BIN)/python tools/install_torch.py
	@$(INSTALL) '.[all,dev,docs]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one, or name it: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: $(PYTHON) cannot make $(VENV) (see above; on Debian and Ubuntu install python3-venv)" >&2; exit 1; }
