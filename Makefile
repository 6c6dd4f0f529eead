# Two commands do everything: `make serve` and `make test`. Both set up first.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python of at least 3.11; `make PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 8000
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip

.PHONY: help setup serve test lint types imports docs openapi format lock programs clients client-models release-document bench bench-peers bench-calls size fuzz soak vendor runtime clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## create .venv from the lock file

$(READY): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name one with make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

# A setting of an account, in the environment or in .env. One of two keys suffices: serve names the other.
ACCOUNT := $$TAKTIKAL_COMPANY_KEY$$TAKTIKAL_API_KEY$$SUBNOTO_ACCESS_KEY$$SUBNOTO_SECRET_KEY$$GATEWAY_CONFIG
ACCOUNT_LINE := ^ *(export +)?(TAKTIKAL_|SUBNOTO_|GATEWAY_CONFIG)

serve: setup ## serve on http://127.0.0.1:8000: your accounts if their keys are set, else the sandbox
	@if [ -n "$(ACCOUNT)" ] || grep -qsE '$(ACCOUNT_LINE)' .env; \
	then exec $(BIN)/audit-gateway serve --port $(PORT); \
	else exec $(BIN)/audit-gateway serve --sandbox --port $(PORT); fi

# Two more than there are cores: tests wait for servers, browsers and clients half of their time.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? cores + 2 : 6)))

test: setup ## everything that must hold: style, types, layers, documentation, all tests
	@$(MAKE) --no-print-directory --jobs=2 lint types imports docs programs clients $(COMPILED)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# pytest rewrites the assertions of all tests, 8 seconds of processor time: once, not in each worker. The run of the tests
# reports a module that cannot be imported.
COMPILED := $(VENV)/.compiled
$(COMPILED): $(shell find tests -name '*.py' -not -path '*/node_modules/*') | setup
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true
	@touch $@

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet || { echo "run 'make format'" >&2; exit 1; }

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# Programs of Debian, and modules of rsyslog, that tests use. Where one cannot be installed, its tests say so and are
# skipped.
PROGRAMS := chromium:chromium nginx:nginx-light pdftotext:poppler-utils rsyslogd:rsyslog \
	lmnsd_ossl.so:rsyslog-openssl lmnsd_gtls.so:rsyslog-gnutls

programs:
	@for pair in $(PROGRAMS); do program=$${pair%%:*} package=$${pair#*:}; \
	PATH=$$PATH:/usr/sbin command -v $$program >/dev/null || ls /usr/lib*/*/rsyslog/$$program >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { echo "installing $$package for the tests"; apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$package >/dev/null; }; } || \
	echo "no $$package, and it cannot be installed here: its tests will be skipped"; done

CLIENTS := tests/clients

# Generators of clients and linters of the OpenAPI document: Node.js 20, npm, Java 17. What cannot be installed is said,
# and its tests are skipped.
clients: setup ## install what tests/clients runs
	@$(MAKE) --no-print-directory $(CLIENTS)/node_modules/.ready || \
	echo "the npm tools of $(CLIENTS) cannot be installed here: their tests will be skipped"
	@$(MAKE) --no-print-directory .venv-clients/.ready || \
	echo "the Python tools of $(CLIENTS) cannot be installed here: their tests will be skipped"

$(CLIENTS)/node_modules/.ready: $(CLIENTS)/package-lock.json
	npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.venv-clients/.ready: $(CLIENTS)/requirements.txt
	$(PYTHON) -m venv .venv-clients
	PIP_DISABLE_PIP_VERSION_CHECK=1 .venv-clients/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

format: setup ## put the code into the project's form
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format --quiet

docs: setup ## write the generated pages anew, and build the documentation into site/; a broken link fails
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

openapi: setup ## write openapi/openapi.json anew
	$(BIN)/audit-gateway openapi --output openapi/openapi.json

client-models: openapi clients ## write the models of clients/python anew, from openapi/openapi.json
	cd clients/python && PATH="$(CURDIR)/.venv-clients/bin:$$PATH" datamodel-codegen --output src/audit_gateway_client/models.py

release-document: openapi ## at a release: what later documents must not break
	cp openapi/openapi.json openapi/released.json

PEERS := .venv-bench

bench: setup bench-peers ## write the figures of docs/performance.md anew: ten minutes
	$(BIN)/python -m benchmarks --write docs/performance.md

bench-peers: $(PEERS)/.ready

$(PEERS)/.ready: benchmarks/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(PEERS)/bin/python -m pip install --quiet --require-hashes -r benchmarks/requirements.txt
	@touch $@

size: setup ## lines and files, and what a warm page enters
	$(BIN)/python -m benchmarks.size

bench-calls: setup ## write the calls at the vendors in docs/performance.md anew
	$(BIN)/python -m benchmarks.calls --write docs/performance.md

fuzz: setup ## the property campaigns with a large budget (FUZZ_EXAMPLES=5000)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5000} $(BIN)/python -m pytest tests/properties tests/attack tests/paging/test_chain.py tests/paging/test_service_machine.py tests/paging/test_exactly_once.py --timeout 0

UI := app/ui/vendor

vendor: ## copy the page's libraries, pinned in $(UI)/package-lock.json, and axe-core for its tests
	rm -rf .vendor && mkdir .vendor && cp $(UI)/package.json $(UI)/package-lock.json .vendor/
	npm ci --prefix .vendor --ignore-scripts --no-audit --no-fund --loglevel=error
	cd .vendor/node_modules && \
	sed '/sourceMappingURL/d' preact/dist/preact.mjs >../../$(UI)/preact.js && \
	sed '/sourceMappingURL/d; s#from"preact"#from"./preact.js"#' preact/hooks/dist/hooks.mjs >../../$(UI)/hooks.js && \
	cp htm/dist/htm.mjs ../../$(UI)/htm.js && \
	cp uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css ../../$(UI)/ && \
	cp axe-core/axe.min.js ../../tests/ui/vendor/ && cp axe-core/LICENSE ../../tests/ui/vendor/axe.LICENSE && \
	for name in preact htm uplot; do cp $$name/LICENSE ../../$(UI)/$$name.LICENSE; done
	rm -rf .vendor

soak: setup ## ten minutes of load and faults; memory, answers and leftovers are judged (SOAK_SECONDS=600)
	$(BIN)/python -m tests.soak
	FORWARD_KILLS=$${FORWARD_KILLS:-200} $(BIN)/python -m pytest tests/forward/test_killed.py

# Universal: one file holds what each Python that `requires-python` admits needs, with markers.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --no-header --no-annotate --upgrade
lock: setup ## resolve the dependencies anew
	$(COMPILE) --all-extras --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	echo hatchling==1.27.0 | $(COMPILE) --constraint requirements-dev.lock --output-file deploy/requirements-build.lock -
	for extra in $(EXTRAS); do $(COMPILE) --constraint requirements-dev.lock --extra $$extra \
	  --output-file deploy/requirements-$$extra.lock pyproject.toml || exit 1; done
	$(COMPILE) --output-file tests/clients/requirements.txt tests/clients/requirements.in
	$(COMPILE) --output-file benchmarks/requirements.txt benchmarks/requirements.in
EXTRAS := otel subnoto-tunnel

runtime: ## what the container image holds, into DIR: make runtime DIR=/tmp/gateway
	deploy/install-runtime "$(DIR)" "$(PYTHON)"

clean: ## remove .venv and caches
	rm -rf $(VENV) .venv-clients $(PEERS) $(CLIENTS)/node_modules .mypy_cache .ruff_cache .import_linter_cache .hypothesis
