# make help shows this file's targets.
VENV := .venv
BIN := $(VENV)/bin
export ROOT

.DEFAULT_GOAL := help
.PHONY: help up down test test-builders test-machines test-states test-sample test-all test-faults mutants lint format bench example pages picture trust-docker-registry clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Install what is missing and bring the registry up (ROOT=folder of your gdk.yml)
	@support/bootstrap up

down: ## Take everything back; the images stay
	@support/bootstrap down

test: ## Install what the tests need and run them, end to end too
	@support/bootstrap test
	@support/bootstrap pytest tests/unit tests/cli tests/e2e

test-builders: ## The tests that need BuildKit, an engine in a container, or clients of PyPI and npm: builds them once
	@support/bootstrap builders
	@support/bootstrap pytest tests/builders

test-machines: ## In a GDK's supervisor, on Podman and rootless Docker, in a VM, through a tunnel
	@support/bootstrap test
	@support/bootstrap pytest tests/machines

test-states: ## Every command in every state
	@support/bootstrap test
	@support/bootstrap pytest tests/states

test-sample: ## A sample of make test-faults
	@support/bootstrap test
	@support/bootstrap pytest tests/faults

test-all: ## What make test leaves out, but for make test-faults in whole
	@support/bootstrap builders
	@support/bootstrap pytest tests/builders tests/machines tests/states
	@support/bootstrap pytest tests/faults

test-faults: ## Die at every system call, on full and broken disks, ten commands at once: takes hours, prints the count
	@support/bootstrap test
	@$(BIN)/python -m tests.faults.run
	@$(BIN)/python -m tests.faults.crowd 500

SAMPLE ?= 40
SEED ?= 1
mutants: ## Break SAMPLE places of the code (SEED chooses which) and show what the quick tests do not notice
	@support/bootstrap mutants
	@$(BIN)/python -m tests.mutants.run $(SAMPLE) $(SEED)

lint: ## Style, types, and gdk.example.yml against the code
	@support/bootstrap dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(BIN)/gdkreg config example | cmp - gdk.example.yml

format: ## Format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: ## Measure start-up, reconfigure and start as ratios, in one run
	@support/bootstrap builders
	@$(BIN)/python -m tests.bench.run

example: ## Write gdk.example.yml from the code
	@$(BIN)/gdkreg config example > gdk.example.yml

pages: ## Write docs/commands.md from the options and docs/tour.md from a run in a box (as root)
	@support/bootstrap test
	@$(BIN)/python -m tests.pages
	@$(BIN)/python -m tests.e2e.tour

picture: ## Draw docs/up.svg from a run in a box (as root)
	@support/bootstrap test
	@$(BIN)/python -m tests.e2e.picture

trust-docker-registry: ## GDK's target: trust the registry's certificate
	@support/bootstrap trust

clean: ## Remove what builds and tests left here
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage dist build
