# The front door. `make demo` and `make test` each start from a bare clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install demo test test-slow test-portable test-all lint bench clean

help:
	@echo "make demo   prepare, train, reconstruct, score: tables and pictures in demo/ (minutes)"
	@echo "make test   the tests that are quick (minutes)"
	@echo "make test-all  all tests: these, those that are slow, and test-portable"
	@echo "make test-portable  the numerical tests as on other processors and with more threads"
	@echo "make lint   style, docstrings, import layers, types"
	@echo "make bench  the published table, on DATA=file.h5 or the builtin photographs"
	@echo "make clean  remove what these made"

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "phasegan needs Python 3.11 or newer; name one with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,lint]'
	touch $@

demo: install
	mkdir -p demo
	cd demo && ../$(BIN)/phasegan prepare
	cd demo && ../$(BIN)/phasegan inspect builtin.h5 --verify
	cd demo && ../$(BIN)/phasegan train builtin.h5 -o runs/demo --variant small --samples 100 --epochs 5 --resume
	cd demo && ../$(BIN)/phasegan reconstruct builtin.h5 --method mean-magnitude -o mean-magnitude --overwrite
	cd demo && ../$(BIN)/phasegan prepare -o padded.h5 --oversample 2 --samples 20 --test 12
	cd demo && ../$(BIN)/phasegan reconstruct padded.h5 -o exact --overwrite
	cd demo && ../$(BIN)/phasegan reconstruct builtin.h5 --run runs/demo -o cyclegan --overwrite
	cd demo && ../$(BIN)/phasegan evaluate builtin.h5 --method zero --method mean-image --method mean-magnitude --method learned --run runs/demo --json scores.json
	cd demo && ../$(BIN)/phasegan bench --variant small --samples 5 --epochs 5 --samples 50 --epochs 10
	@echo
	@echo "Look at: demo/bench/builtin/report.html in a browser, contact-sheet.png and table.md,"
	@echo "         demo/runs/demo/training.png: how the training went,"
	@echo "         demo/mean-magnitude/contact-sheet.png, demo/cyclegan/contact-sheet.png,"
	@echo "         demo/exact/contact-sheet.png: of phases padded twofold, marked where certified."
	@echo "What each network is worth on these photographs stands below the table above."

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-all: test test-slow test-portable

test-portable: install
	$(BIN)/python tests/portable.py

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: install
	$(BIN)/phasegan bench --case benchmarks/cases/published.toml $(if $(DATA),--data $(DATA))

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
