# make reports   measure real models on this machine and render the smoke reports
# make test      the test suite
# make lab       JupyterLab with everything installed
# make calculator  the memory calculator and the dashboard in a browser, on this machine only (PORT=9000: at another port)
# make hooks     git strips outputs of notebooks before a commit and compares them by cells
# Everything is installed into .venv at the first use of any of them, and never again until a pin changes.

PYTHON ?= python3
BIN := .venv/bin
SMOKE := $(wildcard params/*.smoke.yaml)

.PHONY: reports test lab calculator hooks
.DELETE_ON_ERROR:

reports: .venv/installed
	@set -e; for file in $(SMOKE); do study=$$(basename $$file .smoke.yaml); $(BIN)/llmresearch report $$study -f $$file; done
	@echo "reports: outputs/smoke/"

test: .venv/installed
	$(BIN)/python -m pytest -q

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

calculator: .venv/installed
	$(BIN)/python -m llmresearch.widgets $(if $(PORT),--port=$(PORT))

hooks: .venv/installed
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	$(BIN)/pre-commit install
	git config diff.jupyternotebook.command "$(CURDIR)/$(BIN)/git-nbdiffdriver diff"
	git config merge.jupyternotebook.driver "$(CURDIR)/$(BIN)/git-nbmergedriver merge %O %A %B %L %P"

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "llmresearch needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check -e ".[ort,quality,rtx,test]"
	touch $@
