# Needs Python 3.11+ with venv, git and make; the rest is installed into .venv (about 6 GB, for torch brings CUDA).
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*)
ENCODERS := dasheng hear21passt muq panns-inference speechbrain ssondo torchopenl3 tsumugi-mrl \
	beartype easydict einops ftfy hyperpyyaml julius resampy ruamel.yaml six torchlibrosa x-clip
# Finds what the standard library lacks on Windows. Other packages are not followed, so that it takes seconds; without
# them the types of some variables are unknown.
WINDOWS_TYPES := $(BIN)/mypy --config-file= --platform win32 --follow-imports=skip --ignore-missing-imports \
	--disable-error-code var-annotated -p lit_genre
# Without plugins, whose tests are slow.
FAST_TESTS := -m pytest -n auto --maxprocesses 8 -m "not slow and not browser" -q tests lit_genre
DEMO := --config cnn1d_shallow --config data/demo

.PHONY: install demo test all-tests check check-tests lint docs clean test-oldest test-newest

install: .venv/installed

demo: .venv/installed
	$(BIN)/lit-genre demo --root data/demo
	$(BIN)/lit-genre fit $(DEMO)
	$(BIN)/lit-genre test --ckpt_path best
	@echo
	@echo "Two commands to try next:"
	@echo "  $(BIN)/lit-genre predict --ckpt_path best"
	@echo "  $(BIN)/lit-genre fit $(DEMO) --seed_everything=1"

# Linters run next to the tests, because mypy uses one core.
test: .venv/installed-test
	$(MAKE) --jobs 2 lint docs all-tests

all-tests: .venv/installed-test
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

# The tests that take less than a second each.
check: .venv/installed-test
	$(MAKE) --jobs 2 --output-sync lint check-tests

check-tests: .venv/installed-test
	$(BIN)/python $(FAST_TESTS)

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(WINDOWS_TYPES)
	$(BIN)/lint-imports

# The fast tests and a run on the demo data, in an environment of their own with the oldest versions that pyproject.toml
# allows, or with the newest.
test-oldest test-newest: test-%:
	$(PYTHON) -m venv --clear .venv-$*
	$(PYTHON) $(if $(filter oldest,$*),tests/helpers/lower_bounds.py,-c '') > .venv-$*/constraints.txt
	.venv-$*/bin/python -m pip install -c .venv-$*/constraints.txt -e '.[test]' $(PLUGINS:%=-e %)
	.venv-$*/bin/python -m pip install --no-deps musicnn==0.1.0
	.venv-$*/bin/python $(FAST_TESTS)
	.venv-$*/bin/lit-genre demo --root .venv-$*/demo
	.venv-$*/bin/lit-genre fit $(DEMO) --data.root=.venv-$*/demo --trainer.max_epochs=2 \
		--trainer.default_root_dir=.venv-$*/run
	.venv-$*/bin/lit-genre test --ckpt_path .venv-$*/run/checkpoints/best.ckpt

# Strict: a broken link or reference fails. The pages are in site/.
docs: .venv/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf .venv .venv-oldest .venv-newest site data/demo

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e .
	touch $@

.venv/installed-test: .venv/installed $(PLUGINS:=/pyproject.toml)
	$(BIN)/python -m pip install -e '.[test]' $(PLUGINS:%=-e %)
	# Of it the weights are wanted, not the TensorFlow of 2019 that its code needs.
	$(BIN)/python -m pip install --no-deps musicnn==0.1.0
	# Without what these packages need for their own training, and without torchopenl3's old resampy.
	$(BIN)/python -m pip install --no-deps $(ENCODERS)
	touch $@
