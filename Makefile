# `make run` and `make test` do all their own set-up; see bin/setup.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 600
TRIAL ?= weather

.PHONY: help run test lint check bench fuzz trial format lock

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Set up and run everything on this machine (with simulated vehicles where no Twilio account is set)
	@bin/setup run
	@$(PYTHON) bin/run

test: ## Set up and run all tests, on SQLite and PostgreSQL, with a browser
	@bin/setup test
	@$(PYTHON) -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: ## Check style, types and formatting
	@bin/setup test
	@ruff check .
	@ruff format --check .
	@mypy

check: lint test ## What guards main: lint and test

bench: ## Measure the receiver beside a raw sink (half an hour; BENCH_ARGS=--quick for a trial)
	@bin/setup test
	@$(PYTHON) benchmarks/run.py $(BENCH_ARGS)

fuzz: ## Fuzz protocol, session and a live port, FUZZ_SECONDS each (default 600), and changes of SMS credentials
	@bin/setup test
	@$(PYTHON) tests/fuzz reader $(FUZZ_SECONDS)
	@$(PYTHON) tests/fuzz session $(FUZZ_SECONDS)
	@$(PYTHON) tests/fuzz/live.py $(FUZZ_SECONDS)
	@$(PYTHON) -m pytest tests/test_credentials.py -k no_order --hypothesis-profile=deep --timeout=0

trial: ## Run one trial of the real processes: TRIAL=kills|outage|weather|untimed|strangers|restarts|soak, TRIAL_ARGS
	@bin/setup test
	@$(PYTHON) -m trials $(TRIAL) $(TRIAL_ARGS)

format: ## Format the code
	@bin/setup test
	@ruff check --fix .
	@ruff format .

lock: ## Write the lock files anew from setup.cfg
	@bin/setup test
	@bin/lock
