# `make` lists the targets. Each target installs what it needs: Python packages into .venv, npm
# packages into client_js/node_modules, and missing Debian packages with apt.
PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
# Random schedules of a campaign, with each client; from a seed on.
MACHINE_EXAMPLES ?= 10000
MACHINE_SEED ?= $(shell date +%s)
export PYTHON

# More workers than cores, because tests mostly wait. The tests of a file run in one worker, because
# they share a server.
PARALLEL := -n 5 --dist loadfile --no-loadscope-reorder

BIN := .venv/bin
DEMO_READY := .venv/.demo-ready
DEV_READY := .venv/.dev-ready
NODE_READY := client_js/node_modules/.ready
BENCH_READY := .venv-bench/.ready
# Libraries built on WebSocket, and frameworks that serve it.
PAGES_READY := tests/integrations/node_modules/.ready
FRAMEWORKS_READY := .venv/.integrations-ready
QUICK_INTEGRATIONS := $(addprefix tests/integrations/,\
	test_pages.py ai_sdk reconnecting_websocket frameworks/test_django.py)

.DEFAULT_GOAL := help
.PHONY: help demo clauses test test-python test-consumers test-browser test-js test-integrations integrations matrix campaign mutants check check-lint check-types check-layers check-prose \
	check-client check-bundle check-coverage bench setup setup-system client release format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO_READY) ## Serve the examples, beside plain WebSockets (PORT=8000)
	@$(BIN)/python scripts/demo.py

test: test-python test-consumers test-browser test-integrations test-js ## Run all tests

test-python: setup ## Run the Python tests without a browser, in parallel (PYTEST_ARGS=...)
	$(BIN)/python -m pytest $(PARALLEL) -m "not browser and not consumer and not integration" $(PYTEST_ARGS)

# The tests that share an environment run in one worker.
test-consumers: setup ## Install the built packages as users do, and run the documents' code
	$(BIN)/python -m pytest tests/consumers -n 4 --dist loadscope $(PYTEST_ARGS)

test-browser: setup ## Run the browser tests, three files at a time (PYTEST_ARGS=...)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m browser $(PYTEST_ARGS)

test-integrations: setup $(PAGES_READY) $(FRAMEWORKS_READY)
	$(BIN)/python -m pytest $(QUICK_INTEGRATIONS) -n 2 --dist loadfile $(PYTEST_ARGS)

integrations: setup $(PAGES_READY) $(FRAMEWORKS_READY) ## Run unmodified WebSocket libraries and frameworks over the channel
	$(BIN)/python -m pytest tests/integrations -n 3 --dist loadfile $(PYTEST_ARGS)

matrix: setup ## Run the full matrix of proxies and networks; writes docs/proxies.md (30 min)
	@scripts/setup_system.sh matrix
	MATRIX=full $(BIN)/python -m pytest tests/field/matrix/test_matrix.py $(PYTEST_ARGS)
	MATRIX=full $(BIN)/python -m pytest tests/browser/test_engines.py $(PYTEST_ARGS)
	MATRIX=full $(BIN)/python -m pytest $(addprefix tests/browser/test_,channel.py leaving.py race.py unload.py) $(PYTEST_ARGS)
	MATRIX=full $(BIN)/python -m pytest tests/field/network tests/browser/test_fleet.py tests/browser/test_life.py -rA $(PYTEST_ARGS)

campaign: setup ## Run the full campaigns: shutdowns, hostile clients, workers, random schedules, cancellation
	@scripts/setup_system.sh campaign
	SHUTDOWN_ROUNDS=20 $(BIN)/python -m pytest tests/integration/server/test_shutdown.py $(PYTEST_ARGS)
	HOSTILE_SESSIONS=1000 HOSTILE_SOCKETS=200 HOSTILE_MEMORY=256 \
		$(BIN)/python -m pytest tests/integration/limits/test_hostile.py --timeout 900 $(PYTEST_ARGS)
	MACHINE_EXAMPLES=$(MACHINE_EXAMPLES) MACHINE_SEED=$(MACHINE_SEED) \
		$(BIN)/python -m pytest $(addprefix tests/properties/test_,machine.py processes.py journal.py \
		stored.py shared.py) $(PYTEST_ARGS)
	STORE_SECONDS=120 $(BIN)/python -m pytest tests/integration/stores/test_redis_faults.py -s \
		--timeout 900 $(PYTEST_ARGS)
	WORKERS=full $(BIN)/python -m pytest tests/integration/workers -rA --timeout 900 $(PYTEST_ARGS)
	REDIS=full $(BIN)/python -m pytest tests/integration/redis -rA --timeout 1200 $(PYTEST_ARGS)
	CANCEL_EVERY=1 $(BIN)/python -m pytest tests/properties/test_client_cancellation.py --timeout 900 $(PYTEST_ARGS)

clauses: $(DEV_READY) ## Write docs/clauses.md: the vectors and tests of each clause
	$(BIN)/python -m tests.contracts.evidence

mutants: setup ## Break one rule of the session at a time; the tests must detect each
	$(BIN)/python -m pytest tests/properties/test_mutants.py $(PYTEST_ARGS)

test-js: $(NODE_READY) ## Run the TypeScript tests
	node client_js/test.mjs

bench: $(BENCH_READY) ## Measure it against its peers (BENCH_ARGS="--quick"); see docs/performance.md
	.venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

check: check-lint check-types check-layers check-prose check-client check-bundle check-coverage ## Run every static check

check-lint: $(DEV_READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

check-types: $(DEV_READY)
	$(BIN)/mypy --strict

check-layers: $(DEV_READY)
	$(BIN)/lint-imports --no-logo --no-cache

# Counts what is not plain English; the script tells what it counts.
check-prose: $(DEV_READY)
	$(BIN)/python scripts/check_prose.py

check-client: $(NODE_READY)
	cd client_js && npm run --silent check

# The vectors and unit tests of the core must cover every line and branch of it.
check-coverage: $(DEV_READY)
	$(BIN)/python -m coverage run --data-file=.coverage.protocol -m pytest -q tests/unit/protocol
	$(BIN)/python -m coverage report --data-file=.coverage.protocol \
		--include='transport/protocol/*' --fail-under=100 --skip-covered

check-bundle: $(NODE_READY)
	node scripts/check_bundle.mjs

setup: setup-system $(DEV_READY) $(NODE_READY) ## Install everything that the tests and checks need

setup-system:
	@scripts/setup_system.sh

client: $(NODE_READY) ## Build the browser client into transport/static
	node client_js/build.mjs

release: setup ## Build the packages into dist, try them, and say how to publish them
	@$(BIN)/python scripts/release.py

format: $(DEV_READY) ## Format the Python code and apply automatic fixes
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

clean: ## Remove everything installed or generated here, except the built client
	rm -rf .venv .venv-bench client_js/node_modules benchmarks/node/node_modules tests/integrations/node_modules \
		tests/integrations/build client_js/.build client_js/dist build dist htmlcov \
		.coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEMO_READY): pyproject.toml scripts/setup_python.sh
	@scripts/setup_python.sh demo

$(DEV_READY): pyproject.toml scripts/setup_python.sh
	@scripts/setup_python.sh dev

$(NODE_READY): client_js/package.json client_js/.npmrc scripts/setup_node.sh
	@scripts/setup_node.sh

$(PAGES_READY): tests/integrations/package.json tests/integrations/.npmrc scripts/setup_node.sh
	@scripts/setup_node.sh tests/integrations

$(FRAMEWORKS_READY): $(DEV_READY)
	@scripts/setup_python.sh integrations

$(BENCH_READY): pyproject.toml benchmarks/setup.sh benchmarks/requirements.txt benchmarks/node/package.json
	@benchmarks/setup.sh
