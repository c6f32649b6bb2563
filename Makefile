# Needs only make and Python >= 3.11. `make help` lists what there is.
PYTHON ?= python3
ARGS ?=
# Test processes: most tests wait for servers and processes, so there are more than cores.
JOBS ?= 3
BIN := .venv/bin
# Hashes pin the files; which index they come from is the machine's own setting.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A pin names the extras that are asked for: without them pip takes the newest release for these,
# which no hash allows. What constrains another compilation may not name any.
AS_CONSTRAINTS := sed -E 's/^([A-Za-z0-9._-]+)\[[^]]*\]==/\1==/; /^ +--hash/d; s/ \\$$//'
COMPILE = $$($(BIN)/python -m tests.support.peers lock) -m piptools compile --quiet --upgrade \
	--generate-hashes --no-strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.PHONY: help install dev check quick test conformance interop chaos volume demo up bench lock servers43 clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: .venv/.runtime ## make .venv with the command longhaul in it

dev: .venv/.dev ## the same, with what the tests need

.venv/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "Longhaul needs Python 3.11 or newer, and there is no $(PYTHON); name one: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Longhaul needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; install its venv package (Debian, Ubuntu: python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.runtime: .venv/pyvenv.cfg requirements.txt requirements-build.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements.txt -r requirements-build.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

.venv/.dev: .venv/.runtime requirements-dev.txt
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

check: .venv/.dev ## ruff and mypy over code and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quick: .venv/.dev ## unit and contract tests that need no server, in seconds
	$(BIN)/python -m pytest -m "not servers" tests/unit tests/contract $(ARGS)

test: check ## everything but conformance and interop, with its own RabbitMQ and Redis (ARGS="-k name" for a part)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

conformance: .venv/.dev ## the official MCP suite through the router
	$(BIN)/python -m tests.conformance.run $(ARGS)

interop: .venv/.dev ## other people's clients and servers through a router (minutes)
	$(BIN)/python -m pytest tests/interop $(ARGS)

chaos: .venv/.dev ## break a deployment at random for three minutes, and count what is lost (ARGS="--seed 7")
	$(BIN)/python -m tests.chaos.run $(ARGS)

volume: .venv/.dev ## a batch of 100,000 rows, with kill -9 of everything on the way (ARGS="--rows 5000")
	$(BIN)/python -m tests.volume.run $(ARGS)

demo: .venv/.runtime ## an agent, a router and three MCP servers, start to end
	@$(BIN)/python -m tests.support.peers time >/dev/null
	$(BIN)/python -m examples.demo $(ARGS)

up: .venv/.runtime ## the router of the demo, left running
	@$(BIN)/python -m tests.support.peers time >/dev/null
	$(BIN)/python -m examples.up $(ARGS)

bench: .venv/.dev ## Longhaul beside a direct call, a FastMCP proxy, fastmcp-tasks and Celery, as ratios (minutes)
	$(BIN)/python -m bench.run $(ARGS)

lock: .venv/.runtime ## make the pinned requirements anew from pyproject.toml and tests/peers/*.in
	$(COMPILE) -o requirements.txt pyproject.toml requirements-early.in
	$(AS_CONSTRAINTS) requirements.txt > .venv/constraints.txt
	$(COMPILE) --extra dev -c .venv/constraints.txt -o requirements-dev.txt pyproject.toml requirements-early.in
	$(AS_CONSTRAINTS) requirements-dev.txt > .venv/constraints.txt
	$(COMPILE) --build-deps-for editable --only-build-deps -c .venv/constraints.txt -o requirements-build.txt pyproject.toml
	for pins in tests/peers/*.in; do $(COMPILE) -o $${pins%.in}.txt $$pins || exit; done

servers43: .venv/.dev ## RabbitMQ 4.3 and Redis 8 in .servers/forky, for the tests that want them (Debian or Ubuntu, as root)
	$(BIN)/python -m tests.support.forky

clean: ## remove what make made
	rm -rf .venv .peers .servers .longhaul .mypy_cache .ruff_cache .pytest_cache .hypothesis
