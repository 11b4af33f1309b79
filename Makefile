# Each target sets up what it needs. Before it, the machine needs make and Python 3.11 or later.
# Written for GNU make 3.81 too, which macOS has.

# The interpreter of .venv, such as PYTHON=python3.12; empty: the newest 3.11+ that is found.
PYTHON ?=
# Options for the demo, such as ARGS="--port 8080" or ARGS="--door asgi"; see `bb-sidecar demo --help`.
ARGS ?=
# Parts and options of the benchmarks; see `python -m tests.bench --help`.
BENCH ?=
# How long to fuzz (3600) or to soak (300), in seconds.
fuzz: SECONDS ?= 3600
soak: SECONDS ?= 300
# How often to kill, and how many calls to make beside clients that leave.
KILLS ?= 500
CALLS ?= 1000000
# Which doors to try, such as DOOR="asgi aiohttp"; empty: each.
DOOR ?=
doors: CALLS = 20000
# Who makes the settled calls: raw (sockets) or sdk (the SDKs of OpenAI, Anthropic and Google).
CLIENTS ?= raw
ifeq ($(CLIENTS),sdk)
settled: CALLS = 10000
settled: KILLS = 20
endif
# Whether each run of the properties tries examples of its own: a merge does not.
EXPLORE ?= yes
# How many calls the differential test makes, and from which seed.
PROBES ?= 100000
SEED ?= 1

# How many processes run the tests: they wait more than they compute. A file's tests stay in one
# process, which sets up once what they share; tests/conftest.py has the order of the files.
WORKERS ?= 6
PYTEST = -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Tests that judge files: the sources, the documents, the chart, its rules and dashboards. They start
# no sidecar, and no Python makes them differ.
OF_FILES = $(addprefix tests/,test_docs_names.py test_documents.py test_house.py test_limits.py) \
  $(addprefix tests/kubernetes/,test_chart.py test_conventions.py test_documents.py test_doors_page.py \
    test_golden.py test_hardening.py test_injection.py test_lock.py test_product_chart.py test_settings.py) \
  $(addprefix tests/kubernetes/observability/,test_dashboards.py test_drawn.py test_rules.py)
# Those that the newest Python need not run again: also the rules beside a real Prometheus, and the
# one that asks every Python by itself.
ONCE = $(OF_FILES) $(addprefix tests/,kubernetes/observability/test_live.py \
  unit/policy/test_paths_on_each_python.py)
COVERED = --cov --cov-report=term --cov-fail-under=90
# Some machines forbid bytecode: then each test process, and each program that tests start,
# compiles all of its sources again.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
NEWEST := .venv-newest

.DEFAULT_GOAL := help
.PHONY: help demo test check lint test-files test-behaviour fuzz differential soak settled doors kill-storm leaving-clients properties stateful wire resources test-newest bench bench-guard dashboards dashboards-pictures lock chart-readme manifests image-test wheels test-compiled format clean packages products

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' Makefile

# FastAPI and uvicorn are the demo's for --door asgi alone.
demo: $(VENV)/$(if $(findstring asgi,$(ARGS)),.dev,.runtime) ## run a platform, a small AI product and the sidecar, and print curl lines
	@$(VENV)/bin/bb-sidecar demo $(ARGS)

test: $(VENV)/.dev packages products ## run the tests
	$(VENV)/bin/python $(PYTEST)

check: packages products lint ## check format, lint and types; run the tests with branch coverage
	$(VENV)/bin/python $(PYTEST) $(COVERED)

lint: $(VENV)/.dev ## check format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

test-files: $(VENV)/.dev packages products ## run the tests that judge files: sources, documents, chart
	$(VENV)/bin/python $(PYTEST) $(OF_FILES)

test-behaviour: $(VENV)/.dev packages products ## run the others with branch coverage, but for tests/properties
	$(VENV)/bin/python $(PYTEST) --ignore=tests/properties $(addprefix --ignore=,$(OF_FILES)) $(COVERED)

fuzz: $(VENV)/.dev ## feed the parsers rubbish for SECONDS (an hour), coverage-guided
	$(VENV)/bin/python -m pip install --quiet --group fuzz
	$(VENV)/bin/python -m tests.fuzz --seconds $(SECONDS)

test-newest: packages ## run the tests of behaviour on the newest Python here, in its own environment
	@.ci/make-venv $(NEWEST) "$$(.ci/find-python --newest)" dev
	@.ci/make-products $(NEWEST)
	$(NEWEST)/bin/python $(PYTEST) $(addprefix --ignore=,$(ONCE))

differential: $(VENV)/.dev packages products ## drive PROBES (100000) odd calls through the sidecar to real frameworks
	$(VENV)/bin/python -m tests.differential --probes $(PROBES) --seed $(SEED)

properties: $(VENV)/.dev ## try all examples of each property, others each time: `make test` tries a quarter, the same ones
	BB_EXAMPLES=all BB_EXPLORE=$(EXPLORE) $(VENV)/bin/python $(PYTEST) tests/properties

stateful: $(VENV)/.dev ## a million operations on the books' model, and 3,000 histories of the whole sidecar
	BB_BOOKS_EXAMPLES=29000 $(VENV)/bin/python -m pytest -q tests/properties/test_admission_books.py
	BB_STATEFUL_EXAMPLES=3000 $(VENV)/bin/python -m pytest -q tests/stateful

wire: $(VENV)/.dev ## reset a connection at every byte of an exchange: `make test` tries each 17th
	BB_WIRE_EVERY=1 $(VENV)/bin/python $(PYTEST) tests/wire/test_resets.py

soak: $(VENV)/.dev ## mixed traffic with faults, then balance the books (SECONDS=300)
	$(VENV)/bin/python -m tests.soak $(SECONDS)

settled: $(VENV)/.dev ## make CALLS (1000000) settled calls with aborts, faults and KILLS (500), or with CLIENTS=sdk 10000 by the vendors' SDKs
	$(VENV)/bin/python -m tests.soak.settled --clients $(CLIENTS) --calls $(CALLS) --kills $(KILLS)

doors: $(VENV)/.dev ## make CALLS (20000) calls for 50 orgs through each DOOR, and balance the books of each org
	$(VENV)/bin/python -m tests.soak.doors --calls $(CALLS) $(DOOR)

kill-storm: $(VENV)/.dev ## kill the sidecar KILLS (500) times under load with faults, then balance the books
	$(VENV)/bin/python -m tests.soak.kill_storm --kills $(KILLS)

leaving-clients: $(VENV)/.dev ## make CALLS (1000000) calls beside clients that leave at every step (Linux)
	$(VENV)/bin/python -m tests.soak.leaving --calls $(CALLS)

resources: $(VENV)/.dev ## measure memory with 2,000 streams and slow readers, 10,000 aborts, 200 reloads
	BB_RESOURCES=full $(VENV)/bin/python -m pytest tests/resources -s

wheels: ## build a wheel for each Python here, its hot modules compiled with mypyc, and a pure one, into dist
	@.ci/compiled wheels $(or $(PYTHON),$$(.ci/find-python --every))

test-compiled: packages ## run the tests of behaviour against the compiled build
	@WORKERS=$(WORKERS) .ci/compiled test "$(or $(PYTHON),$$(.ci/find-python --oldest))"

bench: ## measure beside Envoy, nginx and others, into docs/performance (BENCH="throughput --rounds 3")
	@.ci/compiled venv "$(or $(PYTHON),$$(.ci/find-python --fastest))"
	@.ci/bench-peers .venv-compiled/bin/python
	@echo "Running the benchmarks of tests/bench; other load on this machine spoils them."
	.venv-compiled/bin/python -m tests.bench $(BENCH)

bench-guard: $(VENV)/.dev ## compare the instructions of a call with the merge base's (BASE=commit); fails at +3 % (Linux)
	@.ci/install-programs valgrind nginx
	$(VENV)/bin/python -m tests.bench.guard $(BASE)

dashboards: $(VENV)/.dev ## write helm/dashboards/*.json from tools/dashboards
	$(VENV)/bin/python -m tools.dashboards

dashboards-pictures: $(VENV)/.dev packages ## draw docs/dashboards/*.png from a real Prometheus and sidecar
	$(VENV)/bin/python -m pip install --quiet --group pictures
	$(VENV)/bin/python -m tests.kubernetes.observability.pictures

lock: $(VENV)/.dev ## resolve again what the image installs, into requirements/*.lock with hashes
	$(VENV)/bin/python -m tools.lock

chart-readme: $(VENV)/.dev ## write what comes from the chart's schema: README table, comments, defaults
	$(VENV)/bin/python -m tools.chart_readme

manifests: $(VENV)/.dev ## let checkov judge what the chart makes, and the Dockerfile
	@.ci/check-manifests

image-test: $(VENV)/.dev ## build the image and try it as a pod, with podman (Linux, root)
	@[ "$$(uname -s)" != Linux ] || .ci/install-programs podman runc debootstrap netavark catatonit
	$(VENV)/bin/python -m tests.kubernetes.image

format: $(VENV)/.dev ## format the code and fix what the linter can fix
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean: ## remove environments, caches and build results
	rm -rf $(VENV) $(NEWEST) .venv-compiled .differential .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* dist build
	find sidecar tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# Programs that the tests run: installed where that is possible, and named where it is not.
packages:
	@.ci/install-programs redis-server curl nginx prometheus prometheus-alertmanager
	@! grep -qs '^12' /etc/debian_version || .ci/install-programs /usr/bin/python3.11

# Frameworks that are not on PyPI, for the differential test.
products: $(VENV)/.dev
	@.ci/make-products $(VENV)

# Stamps: an environment is made again when what it depends on changed, or its Python was named.
$(VENV)/.runtime: pyproject.toml .ci/make-venv
	@.ci/make-venv $(VENV) "$(PYTHON)" runtime

$(VENV)/.dev: pyproject.toml .ci/make-venv
	@.ci/make-venv $(VENV) "$(PYTHON)" dev

ifneq ($(strip $(PYTHON)),)
.PHONY: named-python
$(VENV)/.runtime $(VENV)/.dev: named-python
endif
