# Two commands: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
# `make demo-ctr` runs the main job on a generated click log, of events of many columns.
# `make drop-in` trains models of other libraries on the ML-100K of TABLEFREE_DATA.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RECBOLE := .venv-recbole
INSTALL := pip install --quiet --disable-pip-version-check --constraint

.PHONY: demo demo-ctr test drop-in clean

demo: $(VENV)/experiments
	$(BIN)/tablefree compare --data synthetic --model gmf --sizes 1/8,1/16 --seeds 1 \
	  --methods full_table,hashing_trick,deep_hash,sketch,claimed_rows \
	  --trials 1 --epochs 12 --output results/demo

demo-ctr: $(VENV)/experiments
	$(BIN)/tablefree plan --data synthetic-clicks --budget 1/16 --output results/demo-ctr
	$(BIN)/tablefree compare --data synthetic-clicks --model dlrm --sizes 1/4,1/16 --seeds 1 \
	  --methods claimed_rows,hashing_trick --trials 1 --epochs 3 --output results/demo-ctr

# A thread for each worker of pytest: more would wait, and spin, for each other's cores.
test: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal --cov --cov-fail-under=90

drop-in: $(VENV)/dev $(RECBOLE)/recbole
	$(BIN)/python benchmarks/drop_in_rechub.py
	$(BIN)/python benchmarks/drop_in_deepctr.py
	$(RECBOLE)/bin/python benchmarks/drop_in_recbole.py
	$(RECBOLE)/bin/pytest tests/conversion/test_peers.py

clean:
	rm -rf $(VENV) $(RECBOLE) results

# Each stamp says that the packages of one extra are installed.
$(VENV)/experiments $(VENV)/dev: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) constraints.txt --editable ".[$(notdir $@)]"
	touch $@

# RecBole wants an older pandas and colorlog than the other packages have.
$(RECBOLE)/recbole: pyproject.toml constraints.txt
	test -x $(RECBOLE)/bin/pip || $(PYTHON) -m venv $(RECBOLE)
	grep -v '^pandas==\|^colorlog==' constraints.txt > $(RECBOLE)/constraints.txt
	$(RECBOLE)/bin/$(INSTALL) $(RECBOLE)/constraints.txt --editable ".[recbole]"
	touch $@
