# One front door; `make help` lists the targets from their own comments.
.DEFAULT_GOAL := help
.PHONY: help setup demo up down test coverage chaos campaign campaign-real e2e-compose lint audit format lock images docs bench bench-full bench-store bench-api clean

PYTHON_IN_VENV := .venv/bin/python
COMPILE := UV_PYTHON_DOWNLOADS=never .venv/bin/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --quiet --custom-compile-command "make lock" $(UPGRADE)
CHECKED := clustering_tasks plugins dags local tools tests

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Build .venv with everything pinned (PYTHON=... picks the interpreter, 3.11 to 3.13)
	@PYTHON="$(PYTHON)" sh local/setup.sh

demo: setup ## Cluster a sample corpus with a real Airflow and show the result; leaves nothing running
	@$(PYTHON_IN_VENV) -m local demo

up: setup ## Start Airflow and its database and leave them running; prints login and address
	@$(PYTHON_IN_VENV) -m local up

down: ## Stop what `make up` started
	@if [ -x $(PYTHON_IN_VENV) ]; then $(PYTHON_IN_VENV) -m local down; fi

test: setup ## Run the whole test suite, in two processes, or what ARGS=... names, in one
	@$(PYTHON_IN_VENV) -m pytest $(ARGS)

coverage: setup ## Run the whole suite and count the lines that it reaches (twice as long; gate in pyproject.toml)
	@$(PYTHON_IN_VENV) -m pytest --cov --cov-report=term:skip-covered $(ARGS)

chaos: setup ## Run the tests left out of `make test`: cut-off demos, failed parts, a foreign Airflow, real news
	@$(PYTHON_IN_VENV) -m pytest -m heavy -n 0 $(ARGS)

campaign: setup ## Perform a million schedules of the core, a process killed in many (SEED=..., SCHEDULES=...)
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tests.unit.core.campaign \
		--seed $(or $(SEED),1) --schedules $(or $(SCHEDULES),1000000)

campaign-real: setup ## Do real faults to a real Airflow until FAULTS=100 have hit, from SEED=1 on (hours; LEDGER=file, MOST=, IMAGE=)
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tests.e2e.chaos.campaign \
		--seed $(or $(SEED),1) --faults $(or $(FAULTS),100) --ledger $(or $(LEDGER),.local/chaos.jsonl) \
		$(if $(MOST),--most $(MOST)) $(if $(IMAGE),--image $(IMAGE))

e2e-compose: setup ## Start docker-compose.yaml for real, on stand-ins for the public images (BASE_IMAGE=...)
	@.ci/docker-engine
	@export BASE_IMAGE=$${BASE_IMAGE:-$$(.ci/base-image)} && \
		$(PYTHON_IN_VENV) -m pytest -m heavy -n 0 tests/e2e/test_compose_up.py $(ARGS)

lint: setup ## Check style, types, and which room imports which
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy $(CHECKED)
	@PYTHONPATH=.:plugins .venv/bin/lint-imports --no-cache --no-logo
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tools.floor_plan

audit: setup ## Look the locks up in the databases of known vulnerabilities (needs the network; .ci/audit)
	@.ci/audit

format: setup ## Rewrite the code in the one style
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format

lock: setup ## Write the four lock files again (UPGRADE=--upgrade takes newer versions)
	$(COMPILE) images/clustering/requirements-cpu.in -o images/clustering/requirements-cpu.txt
	$(COMPILE) images/clustering/requirements-gpu.in -o images/clustering/requirements-gpu.txt
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt

images: ## Build the container images (see images/build.sh for its settings)
	@images/build.sh

docs: setup ## Write the generated reference pages again
	@$(PYTHON_IN_VENV) -m tools.docs.settings
	@$(PYTHON_IN_VENV) -m tools.docs.contract
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tools.docs.dags
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tools.docs.events
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tools.docs.schema
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tools.docs.terminal

BENCH := PYTHONPATH=. PYTHONWARNINGS=ignore $(PYTHON_IN_VENV) -m tests.benchmarks

bench: setup ## Measure quality against gold and speed at 5,000 and 10,000 items (minutes; STAGE4_TEST_DATA)
	@$(BENCH).quality
	@$(BENCH).speed 5000 10000
	@$(BENCH).report
	@$(BENCH).history

bench-full: setup ## Measure all that docs/BENCHMARKS.md shows, up to a million items (hours)
	@$(BENCH).quality
	@$(BENCH).bootstraps
	@$(BENCH).robustness
	@$(BENCH).thinned
	@$(BENCH).generated
	@$(BENCH).speed 5000 10000 50000 200000 1000000
	@$(BENCH).report
	@$(BENCH).history

bench-store: setup ## Measure loading and reading a million members, three runs of them (15 minutes, 10 GB)
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tests.benchmarks.store 1000000
	@$(BENCH).report

bench-api: setup ## Measure the REST API over three runs of a million members, with 50 users (20 minutes, 8 GB; redis-server)
	@mkdir -p /tmp/stage4-bench-api
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tests.benchmarks.store 1000000 --scratch /tmp/stage4-bench-api
	@PYTHONPATH=.:plugins $(PYTHON_IN_VENV) -m tests.benchmarks.api --scratch /tmp/stage4-bench-api
	@$(BENCH).report
	@rm -rf /tmp/stage4-bench-api

clean: ## Stop everything and remove the local Airflow's data and all caches (not .venv)
	@if [ -x $(PYTHON_IN_VENV) ]; then $(PYTHON_IN_VENV) -m local clean; fi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
