# Needs Python 3.11+ with venv, git and make; the rest is installed into .venv (about 6 GB, for torch brings CUDA).
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*)
DEMO := --config crnn --config data/demo

.PHONY: install demo test check lint docs clean

install: .venv/installed

demo: .venv/installed
	$(BIN)/lit-genre demo --root data/demo
	$(BIN)/lit-genre fit $(DEMO)
	$(BIN)/lit-genre test --ckpt_path best
	@echo
	@echo "Two commands to try next:"
	@echo "  $(BIN)/lit-genre predict --ckpt_path best"
	@echo "  $(BIN)/lit-genre fit $(DEMO) --model.backbone.lstm_dim=64 --seed_everything=1"

test: .venv/installed-test lint docs
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

# The tests that take less than a second each, in about a minute.
check: .venv/installed-test lint
	$(BIN)/python -m pytest -n auto --maxprocesses 8 -m "not slow and not browser" -q

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Strict: a broken link or reference fails. The pages are in site/.
docs: .venv/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf .venv site data/demo

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e .
	touch $@

.venv/installed-test: .venv/installed $(PLUGINS:=/pyproject.toml)
	$(BIN)/python -m pip install -e '.[test]' $(PLUGINS:%=-e %)
	# Of it the weights are wanted, not the TensorFlow of 2019 that its code needs.
	$(BIN)/python -m pip install --no-deps musicnn==0.1.0
	touch $@
