# Everything a developer types. Each verb makes the environment it needs, once; a changed lock makes it again.
PYTHON ?= $(shell scripts/find-python)
BIN := .venv/bin
# The demo needs far less than development; an environment that has the development lock has the demo's too.
DEMO_ENVIRONMENT = $(if $(wildcard .venv/.dev),.venv/.dev,.venv/.demo)

# The whole suite runs in several processes, each with servers of its own: on two cores three, because what waits for a
# deadline or a server that restarts leaves its core to the others. What is asked for by ARGS runs in one, which starts sooner.
WORKERS ?= $(if $(ARGS),0,3)
# Kept also where a container's environment says otherwise: every process of the tests would compile its tests anew.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-profile bench-pressure bench-scale matrix failovers fmt lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(DEMO_ENVIRONMENT)  ## the whole service in one command, nothing else installed
	$(BIN)/notifier demo

test: .venv/.dev  ## all tests, against real servers (installed first when run as root)
	scripts/install-servers
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/.dev  ## style, types, import rules, container files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	scripts/check-container-files

bench: .venv/.dev  ## deliveries per second of each stage, on this machine (ARGS=--quick for a look)
	scripts/install-bench-servers
	$(BIN)/python -m tests.bench $(ARGS)

bench-profile: .venv/.dev  ## where the CPU of a worker and a consumer goes
	scripts/install-bench-servers
	$(BIN)/python -m tests.bench.profiling $(ARGS)

bench-pressure: .venv/.dev  ## what pressure from one side does to the others (ARGS='endpoints relay-limit --quick')
	scripts/install-bench-servers
	$(BIN)/python -m tests.bench.pressure $(ARGS)

bench-scale: .venv/.dev  ## what grows with the size of something, with exponents (ARGS='rules --before FOLDER')
	scripts/install-bench-servers
	$(BIN)/python -m tests.bench.scale $(ARGS)

matrix: .venv/.dev  ## mails through seven mail servers of others, as root (ARGS='limited --server exim'; ARGS=brokers)
	scripts/install-matrix-servers
	$(BIN)/python -m tests.matrix $(ARGS)

failovers: .venv/.dev  ## Sentinel's failovers under the whole service, on Redis and Valkey of several versions
	scripts/install-matrix-servers
	scripts/try-failovers $(ARGS)

fmt: .venv/.dev  ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## compile requirements/*.txt from pyproject.toml (ARGS=--upgrade for newer versions)
	scripts/lock $(ARGS)

clean:  ## remove the environment and every cache
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.demo: requirements/demo.txt
	scripts/install-requirements demo $(PYTHON)
	@touch $@

.venv/.dev: requirements/dev.txt
	scripts/install-requirements dev $(PYTHON)
	@touch $@
