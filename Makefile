# Everything stands on `make venv`, which needs Python 3.11 to 3.13, pip and make only.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# An apt-get that may install: as root, or through a sudo that asks nothing.
APT := $(if $(filter 0,$(shell id -u)),apt-get,sudo -n apt-get)

.PHONY: help venv check test test-fast test-smoke test-training test-processes test-slow test-browser browser compiler screenshots lint types demo mutants bench lock clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

venv: $(READY) ## .venv with dse and all it needs, at the locked versions

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "dse needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $(READY)

# Two jobs at a time, the output of each in one piece: two cores have enough to do.
TWO := $(MAKE) --no-print-directory --jobs=2 --output-sync=target

check: $(READY) ## after each change: lint, types, the fast tests and five others (three minutes on two cores)
	@$(TWO) test-fast lint types test-smoke

test: $(READY) ## everything CI runs: lint, types, tests (a quarter of an hour on two cores)
	@echo "lint, types and three lanes of tests, two at a time: each is printed when it has ended, the last after some 15 minutes"
	@$(TWO) test-training lint types test-fast test-processes

test-fast: $(READY) ## the tests that neither train, convert nor start processes, and fail when they do
	$(BIN)/python -m pytest --quiet --lane fast

test-smoke: $(READY) ## a search, an export, a command, a conversion and a trial on Ray
	$(BIN)/python -m pytest --quiet --lane smoke

test-training: $(READY) ## the tests that train, convert or compile
	$(BIN)/python -m pytest --lane training --durations=25 --durations-min=1

test-processes: $(READY) ## the tests that start processes: commands, Ray, NNI, a browser
	$(BIN)/python -m pytest --lane processes --durations=25 --durations-min=1

test-slow: $(READY) ## the tests that take longer, and at full size those that make test runs at a smaller one
	$(BIN)/python -m pytest --lane slow

test-browser: $(READY) browser ## the tests that drive a real browser; a part of make test wherever there is one
	$(BIN)/python -m pytest -m browser

browser: ## chromium and chromedriver, which the browser tests need
	@{ command -v chromium && command -v chromedriver; } >/dev/null \
		|| { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends chromium chromium-driver; } \
		|| { echo "chromium and chromedriver cannot be installed here: install both (Debian: chromium, chromium-driver), then try again" >&2; exit 1; }

compiler: ## arm-none-eabi-g++ and g++, with which the tests compile a bundle's C++ files
	@{ command -v arm-none-eabi-g++ && command -v g++; } >/dev/null \
		|| { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends \
			gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib g++; } \
		|| { echo "the compilers cannot be installed here: install them (Debian: gcc-arm-none-eabi," \
			"libstdc++-arm-none-eabi-newlib, g++), then try again" >&2; exit 1; }

screenshots: $(READY) browser ## the pictures in results/screenshots anew
	$(BIN)/python -m tools.make_screenshots

lint: $(READY) ## ruff: rules and format; which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY) ## mypy, strict
	$(BIN)/mypy

demo: $(READY) ## the main job on the bundled images, in eight minutes with the install
	$(BIN)/dse search --space mixed.yaml --board nano33ble --max-macs 4M --data sample \
		--explorer random --trials 6 --epochs 16 --timeout 3m --out demo
	@echo "look at demo/plots/front.html; the bundles are in demo/bundles/"

mutants: $(READY) ## the code broken on purpose, a line at a time: fails where tests stay green (about an hour)
	$(BIN)/python -m tools.mutants $(MUTANTS)

bench: $(READY) ## how fast networks train, spaces are costed, and what a driver does per trial by explorer
	$(BIN)/python -m benchmarks.bench_start
	$(BIN)/python -m benchmarks.bench_screening
	$(BIN)/python -W ignore -m benchmarks.bench_training
	$(BIN)/python -W ignore -m benchmarks.bench_explorers

lock: ## requirements.lock anew; needs uv
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements.lock

clean: ## everything that was made
	rm -rf $(VENV) demo .mutants.json .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis
