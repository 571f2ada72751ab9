# Every target does its own set-up; see bin/setup. docs/testing.md says what runs where and how long it takes.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# a process of the product starts a tenth faster with compiled modules
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(PYTHON) -m pytest
PROCESSES ?= 4
TRIALS_AT_ONCE ?= 3
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 600
TRIAL ?= weather
TRIALS := kills outage weather untimed unknown restarts soak
SHORT ?=

.PHONY: help run quick test lint check bench fuzz openapi trial trial-all format lock translations

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Set up and run everything on this machine (with simulated vehicles where no SMS gateway is set)
	@bin/setup run
	@$(PYTHON) bin/run

quick: ## Run the pure tests: no process, no server, under a minute
	@bin/setup test
	@$(PYTEST) -n $(PROCESSES) -m quick $(PYTEST_ARGS)

test: ## Set up and run all tests that guard the product, on SQLite and PostgreSQL, with a browser
	@bin/setup test
	@$(PYTEST) -n $(PROCESSES) -m "not (trial or bench or fuzz)" $(PYTEST_ARGS)

lint: ## Check style, types and formatting
	@bin/setup test
	@ruff check .
	@ruff format --check .
	@mypy
	@djlint templates --check
	@djlint templates --lint
	@hadolint --ignore DL3008 deploy/Containerfile

check: ## What guards main: lint, test, and each trial shortened
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory trial-all SHORT=yes

trial-all: ## Run every trial of the real processes, hours; SHORT=yes: each shortened, some minutes
	@bin/setup test
	@$(PYTEST) -n $(TRIALS_AT_ONCE) -m "trial and not alone" $(PYTEST_ARGS)
	@$(PYTEST) -m "trial and alone" $(PYTEST_ARGS)
	@$(if $(SHORT),,set -e; for name in $(TRIALS); do $(PYTHON) -m trials $$name; done)

trial: ## Run one trial: TRIAL=kills|outage|weather|untimed|unknown|restarts|soak, TRIAL_ARGS
	@bin/setup test
	@$(PYTHON) -m trials $(TRIAL) $(TRIAL_ARGS)

bench: ## Measure the receiver beside a raw sink (half an hour; BENCH_ARGS=--quick for a trial)
	@bin/setup test
	@$(PYTEST) -m bench
	@$(PYTHON) benchmarks/run.py $(BENCH_ARGS)

fuzz: ## Fuzz protocol, session and a live port, FUZZ_SECONDS each (default 600); more examples of each property
	@bin/setup test
	@$(PYTEST) -m fuzz
	@EXAMPLES_TIMES=20 $(PYTEST) -m "hypothesis or cases" --timeout 0
	@$(PYTHON) tests/fuzz reader $(FUZZ_SECONDS)
	@$(PYTHON) tests/fuzz session $(FUZZ_SECONDS)
	@$(PYTHON) tests/fuzz/live.py $(FUZZ_SECONDS)
	@$(PYTHON) -m pytest tests/test_credential_orders.py -k no_order --hypothesis-profile=deep --timeout=0

openapi: ## Run schemathesis with its checks, 100 examples an operation, against the web process
	@bin/setup test
	@PYTHONPATH=. $(PYTHON) tests/openapi_run.py 100

format: ## Format the code
	@bin/setup test
	@ruff check --fix .
	@ruff format .
	@djlint templates --reformat --quiet || true

lock: ## Write the lock files anew from setup.cfg
	@bin/setup test
	@bin/lock

translations: ## Collect the sentences of pages into translations/, and compile what is translated
	@bin/setup test
	@bin/translations
