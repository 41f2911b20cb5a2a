# Everything a contributor runs. Each target makes .venv by itself, from PYTHON.
#
#   make demo    two small apps under load, then the reports on which lines their requests ran
#   make test    lint, types, the engines on every Python at hand, and the whole suite, against the built wheel
#   make lint    ruff and mypy alone
#   make bench   the measurements
#   make docs    the generated pages
#
# PYTHON=python3.13 takes another interpreter, TESTS=tests/config a part of the suite.

PYTHON ?= python3
VENV ?= .venv$(addprefix -,$(filter-out python3,$(notdir $(PYTHON))))
TESTS ?= tests
PYTEST_ARGS ?=
EXTRAS ?= test,dev

BIN = $(abspath $(VENV))/bin
PYTHON_READY = $(VENV)/.python
DEMO_READY = $(VENV)/.demo
READY = $(VENV)/.dependencies
INSTALLED = $(VENV)/.wheel
WHEEL = build/.wheel
SUITE = build/suite
PACKAGE = $(shell find requestcov -type f -not -path '*/__pycache__/*')

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1
export PIP_NO_COMPILE = 1

.PHONY: demo test lint suite matrix bench docs install clean

# The whole suite comes last: the closing line is its own.
test: lint matrix suite

install: $(INSTALLED)

demo: $(DEMO_READY)
	@PATH="$(BIN):$$PATH" $(BIN)/python -P examples/demo.py

# --clear: what an earlier pyproject.toml asked for is gone.
$(PYTHON_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("requestcov needs Python 3.11 or later: make PYTHON=python3.13") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Without the tests' many frameworks and servers: a newcomer should not wait for those.
$(DEMO_READY): $(PACKAGE) | $(PYTHON_READY)
	@echo "Installing what the demo needs into $(VENV); this takes a minute or so, once."
	$(BIN)/python -m pip install --quiet '.[demo]'
	@touch $@

$(READY): $(PYTHON_READY)
	@echo "Installing what the tests need into $(VENV); this takes a few minutes, once."
	$(BIN)/python -m pip install --quiet '.[$(EXTRAS)]'
	@touch $@

# The wheel is pure Python, so one serves every interpreter.
$(WHEEL): $(PACKAGE) pyproject.toml README.md LICENSE | $(READY)
	@rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	@touch $@

$(INSTALLED): $(WHEEL) $(READY)
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps build/wheel/*.whl
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The suite runs in a copy of the tree without the package, so that every test,
# and every process that a test starts, can only import the installed wheel.
suite: $(INSTALLED)
	@rm -rf $(SUITE) && mkdir -p $(SUITE)
	@cp -R $(filter-out requestcov build dist,$(wildcard *)) $(SUITE)
	cd $(SUITE) && INSTALLED_WHEEL=1 PYTHONPATH="$$PWD" PATH="$(BIN):$$PATH" $(BIN)/python -m pytest -p no:cacheprovider \
		-n 2 --dist loadfile --timeout 120 --ignore tests/bench $(PYTEST_ARGS) $(TESTS)

matrix: $(INSTALLED)
	@bash tools/matrix.sh $(BIN)/python

bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet '.[bench]'
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps build/wheel/*.whl
	$(BIN)/python -P tests/bench/bench_engine.py
	$(BIN)/python tests/bench/bench_unsampled.py
	$(BIN)/python -P tests/bench/bench_servers.py
	$(BIN)/python -P tests/bench/bench_drainer.py
	$(BIN)/python -P tests/bench/bench_storage.py
	PYTHONPATH="$$PWD" $(BIN)/python -m tests.bench.bench_collector
	PYTHONPATH="$$PWD" $(BIN)/python -m tests.bench.bench_collector --hard
	PYTHONPATH="$$PWD" $(BIN)/python -m tests.bench.bench_questions
	PYTHONPATH="$$PWD" $(BIN)/python -m tests.bench.bench_dashboard
	PYTHONPATH="$$PWD" $(BIN)/python -m tests.bench.bench_localisation

docs: $(INSTALLED)
	$(BIN)/python -P docs/generate.py

clean:
	rm -rf build dist .venv .venv-*
