# Everything below makes its own virtual environment first; nothing else is needed but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Compiled modules are kept: each process that the tests start would compile all of them again
unexport PYTHONDONTWRITEBYTECODE

# A test whose time ran out on a busy machine is run once more and listed as RERUN; a wrong answer never is.
AGAIN := --reruns 1 -rR --only-rerun TimeoutError --only-rerun 'did not happen'

# A process more than CPUs, up to four, as tests wait for a third of their time; they share one Postgres, and the tests of a
# file stay together.
SPREAD := --numprocesses $(shell cpus=$$(getconf _NPROCESSORS_ONLN); echo $$((cpus < 4 ? cpus + 1 : 4))) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run test test-quick test-loaders test-platform test-platform-ci test-partitioned test-caches test-federation test-pages test-mcp-conformance lint format bench bench-peers bench-recall \
  bench-lineage bench-recording bench-tables bench-growth bench-lanes bench-fanout bench-pages bench-frames drill drill-ha hostile differential mutants migration snapshot pages lock audit clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run ## Serve the graph: the demo on an embedded Postgres, or the database of DATABASE_URL
	@$(BIN)/e2i-gateway serve --demo small

test: $(VENV)/dev ## Run all tests, on a Postgres of their own
	$(BIN)/python -m pytest $(AGAIN) $(SPREAD)

test-quick: $(VENV)/dev ## Run the tests without browsers, drills and whatever else is slow: about two minutes
	$(BIN)/python -m pytest $(AGAIN) $(SPREAD) -m 'not slow'

# The files of tests by the ends of their names, whichever room they stand in
named = $(foreach name,$(1),$(wildcard tests/*/test_$(name).py))

LOADERS := selection questions aggregates bad_input tool_plan costs observability sql_behaviour every_table paging

test-loaders: $(VENV)/dev ## Run what says how the graph answers once more, with the compiler off
	GATEWAY_COMPILER=off $(BIN)/python -m pytest $(AGAIN) $(SPREAD) $(call named,$(LOADERS))

# What reads and changes rows, on the platform's own columns, constraints, indexes, triggers, labels and row security.
# CI has the time for PLATFORM_CI alone, whose files tell most in the least of it; `make test-platform` runs them all.
PLATFORM_CI := golden questions changes own_platform recordable_types platform_writes
PLATFORM := $(PLATFORM_CI) selection aggregates bad_input tool_plan costs every_table paging filters search similarity entities \
  lineage_answers lineage_links lineage_impact compare more views special_changes lifecycles causal_gate stamps ended \
  known_values attached_changes live observability turns locks own_tables purging retention children recordings masking withheld values differential compiler walks \
  offered_changes prices bounds rollups totals arguments cursors round_trips one_bad_row lines one_of oracle oracle_lineage oracle_questions oracle_relations \
  boundaries relative_times answer_size oracle_keys row_values current_state stored_state collections stateful purge_bounds similarity_by_text \
  prices_read expected_pages table_values never_possible events transactions read_tools curated_answers cut_answers rows_by_agents changes_by_agents \
  recording following declarations plans_by_value tables lineage lineage_limits lineage_search outcomes lost_connections coercions vocabularies unwritable

test-platform: $(VENV)/dev ## Run what reads and changes on a database of the platform's shape
	TEST_PLATFORM=1 $(BIN)/python -m pytest $(AGAIN) $(SPREAD) $(call named,$(PLATFORM))

test-platform-ci: $(VENV)/dev
	TEST_PLATFORM=1 $(BIN)/python -m pytest $(AGAIN) $(SPREAD) $(call named,$(PLATFORM_CI))

test-partitioned: $(VENV)/dev ## Run what reads, records and removes rows on tables that are partitioned by month
	TEST_PARTITIONED=1 $(BIN)/python -m pytest $(AGAIN) $(SPREAD) $(call named,golden every_table paging recording lines recordings purging retention)

lint: $(VENV)/dev ## Check style, types, the order of imports, and that libraries' private names stay in adapters
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests/client/typed_usage.py
	$(BIN)/python -m pytest -q tests/house/test_architecture.py -k 'transport or imports_point or public_names or private_names or their_order or circle'

format: $(VENV)/dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test-caches: $(VENV)/dev ## Fill the stores of Apollo, urql and Relay with the gateway's answers (needs npm)
	@if command -v npm > /dev/null; then cd tests/caches && npm ci --ignore-scripts; fi
	$(BIN)/python -m pytest $(AGAIN) tests/graph/test_client_caches.py

test-federation: $(VENV)/dev ## Compose the subgraph with two others by Apollo's composition, and ask its gateway (needs npm)
	@if command -v npm > /dev/null; then cd tests/supergraph && npm ci --ignore-scripts --omit=optional; fi
	$(BIN)/python -m pytest $(AGAIN) tests/graph/test_supergraph.py tests/graph/test_federation.py

test-pages: ## Check types and run the unit tests of the pages (needs npm)
	cd gateway/explorer && npm ci --ignore-scripts && npm run check && npm test

test-mcp-conformance: $(VENV)/dev ## Run the conformance suite of the agents' protocol from npm (skips without npm)
	$(BIN)/python -m tests.mcp.conformance

bench: $(VENV)/dev ## Measure the executors on a database of their own, beside PostGraphile if that is there
	$(BIN)/python -m tests.bench

bench-peers: ## Install what `make bench` compares with (needs npm)
	@if command -v npm > /dev/null; then cd tests/bench/peers && npm ci --omit=dev; \
	else echo "There is no npm, so PostGraphile is left out of the bench; everything else is measured."; fi

bench-recall: $(VENV)/dev ## Measure what similarity search finds among 100,000 vectors, and how fast
	$(BIN)/python -m tests.bench.recall

bench-lineage: $(VENV)/dev ## Measure lineage on a hot node and on 10,000 nodes against recursive queries by hand
	$(BIN)/python -m tests.bench.lineage

bench-recording: $(VENV)/dev ## Measure batches of rows against an insert of arrays by hand
	$(BIN)/python -m tests.bench.recording

bench-tables: $(VENV)/dev ## Measure rows as tables against pages of them, and the memory of a long table
	$(BIN)/python -m tests.bench.tables

bench-growth: $(VENV)/dev ## Measure questions from 1 to 20 million rows and in partitions: fails where flat ones grow, or prices are wrong
	$(BIN)/python -m tests.bench.growth

bench-lanes: $(VENV)/dev ## Measure lookups alone and beside 20 clients that sum up all rows
	$(BIN)/python -m tests.bench.lanes

bench-fanout: $(VENV)/dev ## Measure 20,000 messages a second from one worker to 1,000 WebSockets
	$(BIN)/python -m tests.bench.fanout

bench-pages: $(VENV)/dev ## Measure every default page on the platform's indexes against SQL by hand: make bench-pages ROWS=100000
	$(BIN)/python -m tests.bench.pages --rows $(or $(ROWS),100000) --only $(ONLY)

bench-frames: $(VENV)/dev ## Measure the explorer's frames with 500 nodes on screen, in headless Chromium
	$(BIN)/python -m tests.bench.frames

drill: $(VENV)/dev ## Break what can break while many clients ask, some seconds each, and write gateway/docs/drills.json
	DRILL_CLIENTS=50 DRILL_SECONDS=30 $(BIN)/python -m pytest -s tests/db/test_drill.py
	DRILL_SOCKETS=2000 $(BIN)/python -m pytest -s tests/live/test_socket_endurance.py
	DRILL_KILLS=200 DRILL_ROUNDS=100 $(BIN)/python -m pytest -s tests/recording/test_recording_drills.py
	DRILL_WEBHOOKS=10000 $(BIN)/python -m pytest -s tests/webhooks/test_webhook_drill.py
	rm -f gateway/docs/drills.json
	DRILL_CLIENTS=16 DRILL_SECONDS=5 DRILL_REPORT=gateway/docs/drills.json $(BIN)/python -m pytest tests/drills
	DRILL_REPORT=gateway/docs/drills.json $(BIN)/python -m tests.cluster

drill-ha: $(VENV)/dev ## Lose the leader of a Patroni cluster in five ways, and a standby's replay: make drill-ha KILLS=50 STOPS=20
	DRILL_CLUSTER_KILLS=$(KILLS) DRILL_CLUSTER_STOPS=$(STOPS) DRILL_REPORT=gateway/docs/drills.json $(BIN)/python -m tests.cluster

hostile: $(VENV)/dev ## Send 10,000 hostile requests to the server as it runs, and measure its memory
	HOSTILE_REQUESTS=10000 $(BIN)/python -m pytest -s tests/http/test_hostile.py
	HOSTILE_EXPENSIVE=200 $(BIN)/python -m pytest -s tests/operations/test_expensive_requests.py

differential: $(VENV)/dev ## Ask both executors ten times as many generated questions, those of a seed: make differential SEED=7
	DIFFERENTIAL_TIMES=10 DIFFERENTIAL_SEED=$(SEED) $(BIN)/python -m pytest -s tests/graph/test_differential.py

mutants: $(VENV)/mutants ## Put faults into a copy of the code, and tell which of them the tests notice: make mutants MUTANTS=300 SEED=1
	nice $(BIN)/python -m tests.mutants --sample $(or $(MUTANTS),300) --seed $(or $(SEED),1)

# What a command prints, as a file: whole, or as it was
printed = @$(BIN)/e2i-gateway $(1) > $(2).new && mv $(2).new $(2) || { rm -f $(2).new; exit 1; }

migration: $(VENV)/dev ## Write the migration for a change of the models: make migration m="what changes"
	@test -n "$(m)" || { echo 'Say what changes: make migration m="experiments have a sponsor"'; exit 2; }
	$(BIN)/e2i-gateway db revision -m "$(m)"

snapshot: $(VENV)/dev ## Rewrite the committed schema, references, statement counts and golden answers, to be read as a diff
	$(call printed,schema print,schema/schema.graphql)
	$(call printed,schema possible-types,schema/possible-types.json)
	$(call printed,schema client,gateway/client/typed.py)
	UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest tests/graph/test_golden.py tests/house/test_reference.py \
	  tests/recording/test_platform_writes.py tests/graph/test_suggestions.py tests/graph/test_find_fields.py \
	  tests/operations/test_golden_prices.py

pages: ## Build GraphiQL and the console anew into gateway/static (needs Node.js)
	cd gateway/graphiql && npm ci && npm run build
	cd gateway/explorer && npm ci && npm run build

lock: ## Compile the lock files from pyproject.toml 
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	  --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	  --extra build --extra otel --extra arrow --extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	  --extra build --extra embeddings --extra otel pyproject.toml -c requirements-dev.lock -o gateway/docs/deploy/requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	  --extra mutants pyproject.toml -c requirements-dev.lock -o tests/mutants/requirements.lock

audit: $(VENV)/dev ## Look up the locked dependencies in databases of known vulnerabilities
	$(BIN)/python .ci/audit gateway/docs/deploy/requirements.lock

clean: ## Remove the environment, not the data
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@echo "Making the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the gateway and what it needs into $(VENV), once; about half a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/run
	@echo "Installing what the tests need, once; about a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/mutants: tests/mutants/requirements.lock $(VENV)/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/mutants/requirements.lock
	@touch $@
