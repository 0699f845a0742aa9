# Two commands: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clean

demo: $(VENV)/experiments
	$(BIN)/tablefree compare --data synthetic --model gmf --sizes 1/4,1/16 --seeds 1 \
	  --trials 2 --epochs 8 --output results/demo

test: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest --cov --cov-fail-under=90

clean:
	rm -rf $(VENV) results

# Each stamp says that the packages of one extra are installed.
$(VENV)/experiments $(VENV)/dev: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable ".[$(notdir $@)]"
	touch $@
