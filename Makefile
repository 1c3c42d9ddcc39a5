# Needs make and Python 3.11 or newer, nothing else. `make` alone explains the verbs.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode
# Whatever the machine says about its index holds; whatever it says about projects and environments is not ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX

# Each is made once and again when what it was made from has changed.
BOOTSTRAP := .venv/.bootstrap
RUN := .venv/.run
TEST := .venv/.test
PEERS := .venv/.peers
READERS := .venv/.documents
SUPPLY := .venv/.supply
OBSERVERS := .venv/.observers
NODE := tests/node/node_modules/.made-from

WORKERS ?= auto
# Starts what is not up, runs a command, and stops what it has started.
WITH_SERVICES := $(BIN)/python -m tools.services run --
# Files in their order, which begins with the long ones that need servers: the short unit tests fill the gaps at the end.
# A worker that dies ends the run by the name of its test: a new one may wait for the last file for ever.
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 0 --continue-on-collection-errors

.PHONY: help
help:
	@echo "make run          start everything on http://127.0.0.1:8000 (PORT=8011 HOST=127.0.0.1 to change)"
	@echo "make test         every test: unit, contracts, integration (INSTALL=1 may install system packages)"
	@echo "make unit         the tests that need nothing but this process"
	@echo "make integration  the tests with real files, sockets, processes and services"
	@echo "make services     start PostgreSQL, Kafka, RabbitMQ, Redis, Memcached and a mail catcher, to stay (INSTALL=1 as above)"
	@echo "make services-down, make services-status"
	@echo "make check        format, lint, types, import rules, lock is current, docs, nothing breaks whom the API serves"
	@echo "make documents    write docs/openapi.json and docs/asyncapi.json; refused when that breaks somebody"
	@echo "make sbom         write dist/sbom.cdx.json: what the product is made of (CycloneDX), from the lock"
	@echo "make audit        ask an advisory database about everything in the locks (OSV_URL=… for one of your own)"
	@echo "make lock         write the locks from pyproject.toml (UPGRADE=1 for the newest versions)"
	@echo "make env          write .env.example from the settings"
	@echo "make prove        kill everything under load and count what was promised and kept (PROVE=--quick; PROVE=--help)"
	@echo "make bench        measure beside what one would write by hand (make bench-engines: on real servers alone)"
	@echo "make clean        remove what was made: .venv, caches; not the database"

.PHONY: run
run: $(RUN)
	@exec $(BIN)/crossdock up

.PHONY: test
test: $(TEST) $(READERS) $(SUPPLY) $(OBSERVERS) $(NODE)
	@exec $(WITH_SERVICES) $(PYTEST)

.PHONY: unit
unit: $(TEST)
	@exec $(PYTEST) tests/unit tests/contracts

.PHONY: integration
integration: $(TEST) $(READERS) $(SUPPLY) $(OBSERVERS) $(NODE)
	@exec $(WITH_SERVICES) $(PYTEST) tests/integration

.PHONY: services
services: $(TEST)
	@$(BIN)/python -m tools.services up

.PHONY: services-down
services-down: $(TEST)
	@$(BIN)/python -m tools.services down

.PHONY: services-status
services-status: $(TEST)
	@$(BIN)/python -m tools.services status

.PHONY: check
check: format lint types imports locked docs compatible

.PHONY: format
format: $(TEST)
	@$(BIN)/ruff format --check

.PHONY: lint
lint: $(TEST)
	@$(BIN)/ruff check

.PHONY: types
types: $(TEST)
	@$(BIN)/mypy

.PHONY: imports
imports: $(TEST)
	@$(BIN)/lint-imports --no-logo

.PHONY: locked
locked: $(TEST)
	@$(BIN)/python -m tools.lock --check

.PHONY: docs
docs: $(TEST)
	@$(BIN)/python -m tools.check_docs

.PHONY: compatible
compatible: $(TEST)
	@$(BIN)/python -m tools.documents --check

.PHONY: documents
documents: $(TEST)
	@$(BIN)/python -m tools.documents

.PHONY: sbom
sbom: $(SUPPLY)
	@.venv/supply/bin/python -m tools.sbom --output dist/sbom.cdx.json

.PHONY: audit
audit: $(SUPPLY)
	@.venv/supply/bin/python -m tools.audit $(if $(OSV_URL),--osv-url $(OSV_URL)) $(AUDIT)

.PHONY: lock
lock: $(BOOTSTRAP)
	@$(BIN)/python -m tools.lock $(if $(UPGRADE),--upgrade)

.PHONY: env
env: $(RUN)
	@$(BIN)/python -m tools.env_example

# ENGINES="--only a b --rounds 3" for a closer look at some of it.
.PHONY: bench
bench: $(TEST) $(PEERS)
	@$(BIN)/python -m bench
	@exec $(WITH_SERVICES) $(BIN)/python -m bench.engines $(ENGINES)

.PHONY: bench-engines
bench-engines: $(TEST) $(PEERS)
	@exec $(WITH_SERVICES) $(BIN)/python -m bench.engines $(ENGINES)

.PHONY: prove
prove: $(TEST)
	@exec $(BIN)/python -m prove $(PROVE)

.PHONY: clean
clean:
	rm -rf .venv tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov build dist
	find src tests tools bench prove -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment with the one tool that installs the rest. PYTHON=… chooses the interpreter.
$(BOOTSTRAP): requirements/uv.txt
	@found=; for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No Python 3.11 or newer was found. Install one, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$found cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	echo "Making .venv with $$("$$found" --version), once"; \
	"$$found" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

# Every technology's client is in it, so that a swap installs nothing.
$(RUN): $(BOOTSTRAP) requirements/run.txt requirements/build.txt pyproject.toml
	@echo "Installing from requirements/run.txt"
	@$(UV) --require-hashes -r requirements/build.txt -r requirements/run.txt
	@$(UV) --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST): $(RUN) requirements/dev.txt
	@echo "Installing from requirements/dev.txt"
	@$(UV) --require-hashes -r requirements/dev.txt
	@touch $@

# What reads our documents as others do (client generator, fuzzer); it wants other versions of what the product uses.
$(READERS): $(BOOTSTRAP) requirements/documents.txt
	@echo "Installing from requirements/documents.txt"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/documents
	@$(BIN)/uv pip install --quiet --python .venv/documents/bin/python --compile-bytecode --require-hashes -r requirements/documents.txt
	@touch $@

# What looks at the locks themselves; a scanner's libraries are none of the product's.
$(SUPPLY): $(BOOTSTRAP) requirements/supply.txt
	@echo "Installing from requirements/supply.txt"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/supply
	@$(BIN)/uv pip install --quiet --python .venv/supply/bin/python --compile-bytecode --require-hashes -r requirements/supply.txt
	@touch $@

# Whom the product tells of itself (as Sentry and Datadog do), as the tests ask them what has arrived.
$(OBSERVERS): $(BOOTSTRAP) requirements/observers.txt
	@echo "Installing from requirements/observers.txt"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/observers
	@$(BIN)/uv pip install --quiet --python .venv/observers/bin/python --compile-bytecode --require-hashes -r requirements/observers.txt
	@touch $@

# Node itself is in requirements/dev.txt. Without a registry this goes on, and the tests that want a package say so.
$(NODE): $(TEST) tests/node/package.json tests/node/package-lock.json
	@$(BIN)/python -m tools.node

# What the product is measured beside; its libraries are none of the product's, hence an environment of its own.
$(PEERS): $(BOOTSTRAP) requirements/bench.txt
	@echo "Installing from requirements/bench.txt"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/peers
	@$(BIN)/uv pip install --quiet --python .venv/peers/bin/python --compile-bytecode --require-hashes -r requirements/bench.txt
	@touch $@
