# Rowcast. `make help` lists the targets.
#
#   SWIFT_FLAGS   options for every swift build and test, the same for both so that nothing is
#                 built twice (.ci/run passes warnings as errors)
#   DEMO_SECONDS  how long `make demo` streams; until Ctrl-C when empty

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT_FLAGS ?=
DEMO_SECONDS ?=
BENCH ?=
PROTOCOL ?=
PEERS_FLAGS ?= --quick
PEERS := .data/peers
PIPELINE_FLAGS ?=
PIPELINE := $(PEERS)/venv/bin/python Tests/Peers/pipeline.py
FUZZ_SECONDS ?= 60
TARGET ?=
FUZZ := .data/fuzz
TRAINING := .data/training
ZOO_FAMILIES ?= sklearn operators lightgbm xgboost catboost networks onnx
BINARY := .build/release/rowcast
SOURCES := Package.swift Plugins Sources Tests

.PHONY: help
help: ## List the targets
	@echo "usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Start an appliance, stream sensor readings, show predictions (DEMO_SECONDS=20)
	@$(BINARY) demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

.PHONY: build
build: needs ## Build the release binary, .build/release/rowcast
	swift build -c release $(SWIFT_FLAGS) --product rowcast

# What failed is said again at the end, where it is looked for.
define tests
mkdir -p .data; \
swift test -c release $(SWIFT_FLAGS) --skip-build $(1) 2>&1 | tee .data/test.log \
  || { echo; echo "what failed:"; grep -A 3 -E 'recorded an issue|✘|[Ff]atal error' .data/test.log || true; exit 1; }
endef

# Many tests run workers of their own: too many at once would wait for cores longer than workers do
# for an answer. The fault tests load all cores for minutes, so they come by themselves at the end, the
# two that kill and restart at random; all of them are for `make chaos`. The HTTP server under test lives on
# Swift's pool, which tests that block would keep from it, so its tests come by themselves too.
TESTS_AT_ONCE ?= $(shell expr 2 \* $$(nproc))
.PHONY: test
test: needs ## Run every test, against a PostgreSQL that the tests start themselves
	swift build -c release $(SWIFT_FLAGS) --build-tests
	@$(call tests,--skip '^(FaultTests|ServerTests)\.' --experimental-maximum-parallelization-width $(TESTS_AT_ONCE))
	@$(call tests,--filter '^ServerTests\.' --experimental-maximum-parallelization-width $(TESTS_AT_ONCE))
	@$(call tests,--filter 'FaultTests\.(Job)?FaultTests/' --no-parallel)

# Every scenario in full, and recovery held to what is promised. What the machine does not allow
# (mounts, networks) is skipped, and said so.
.PHONY: chaos
chaos: needs ## Kill, stop, cut, fill and restart while rows are written (CHAOS=aFullDisk for one)
	swift build -c release $(SWIFT_FLAGS) --build-tests
	ROWCAST_CHAOS=1 swift test -c release $(SWIFT_FLAGS) --skip-build --no-parallel \
	  --filter '$(or $(CHAOS),FaultTests)'

.PHONY: bench
bench: build ## Measure bulk, latency, writers and updates against their floors (BENCH=mixed for another part)
	$(BINARY) bench $(BENCH)

# Plain Swift, which asks for nothing but the compiler.
.PHONY: protocol
protocol: ## Try all interleavings of the protocol, and each rule's absence (PROTOCOL=doorbell)
	swift build -c release $(SWIFT_FLAGS) --product check-protocol
	.build/release/check-protocol $(PROTOCOL)

# A throw-away environment.
.PHONY: environment
environment:
	@[ -x $(PEERS)/venv/bin/python ] || python3 -m venv $(PEERS)/venv
	@$(PEERS)/venv/bin/pip install -q --disable-pip-version-check -r Tests/Peers/requirements.txt

.PHONY: pipeline
pipeline: build environment ## Measure a backfill beside workers in Python (PIPELINE_FLAGS="--rows 200000")
	$(BINARY) bench bulk $(PIPELINE_FLAGS) --peer "$(PIPELINE)" --peer "$(PIPELINE) --write unnest" \
	  --peer "$(PIPELINE) --naive"

# Peers that pip has not for this Python are left out and said so.
.PHONY: peers
peers: build environment ## Measure the engine beside its peers, in Python (PEERS_FLAGS="--quick --only a,f")
	for peer in $$(grep -v '^#' Tests/Peers/requirements-optional.txt); do \
	  $(PEERS)/venv/bin/pip install -q --disable-pip-version-check "$$peer" \
	    || echo "$$peer is not to be had, and is left out"; \
	done
	$(PEERS)/venv/bin/python Tests/Peers/make_models.py --out $(PEERS)/models --rowcast $(BINARY) \
	  $(filter-out --json%,$(PEERS_FLAGS))
	$(PEERS)/venv/bin/python Tests/Peers/compare.py --models $(PEERS)/models --rowcast $(BINARY) \
	  --json $(PEERS)/figures.json $(PEERS_FLAGS)

# An appliance of its own, with models, a table and a key; CONTRACT_SECONDS=60 for a first look.
CONTRACT_SECONDS ?= 600
CONTRACT := .data/contract
.PHONY: contract
contract: build ## Hold the HTTP server to the OpenAPI document that it serves (CONTRACT_SECONDS=60)
	@[ -x $(CONTRACT)/bin/python ] || python3 -m venv $(CONTRACT)
	@$(CONTRACT)/bin/pip install -q --disable-pip-version-check -r Tests/Peers/requirements-contract.txt
	$(CONTRACT)/bin/python Tests/Peers/contract_check.py --rowcast $(BINARY) --seconds $(CONTRACT_SECONDS)

# An appliance of its own. promtool comes with Prometheus.
.PHONY: metrics
metrics: build ## Check /metrics, the alert rules and their tests with promtool
	Tests/Monitoring/check $(BINARY)

# libFuzzer comes with the Swift toolchain. Findings are files under $(FUZZ)/findings; a model that
# once broke something goes to Tests/Fuzz/Regressions, which the ordinary tests read.
.PHONY: fuzz
fuzz: ## Fuzz the readers and the executor (FUZZ_SECONDS=60 a target, TARGET=onnx for one)
	ROWCAST_FUZZ=1 swift build -c release --scratch-path .build-fuzz --product fuzz
	Tests/Fuzz/run $(FUZZ) $(FUZZ_SECONDS) $(TARGET)

# The models are made by the libraries that train them, in an environment of their own, and kept:
# ZOO_FAMILIES= makes none of them again.
.PHONY: conformance
conformance: needs ## Compare with what the training libraries compute (ZOO_FAMILIES=sklearn for one)
	@[ -x $(TRAINING)/bin/python ] || python3 -m venv $(TRAINING)
	$(TRAINING)/bin/pip install -q -r Tests/Training/requirements.txt \
	  $(if $(filter networks layers,$(ZOO_FAMILIES)),-r Tests/Training/requirements-networks.txt)
	@if [ -n "$(ZOO_FAMILIES)" ]; then $(TRAINING)/bin/python Tests/Training/make_zoo.py $(ZOO_FAMILIES); fi
	swift build -c release $(SWIFT_FLAGS) --build-tests
	swift test -c release $(SWIFT_FLAGS) --skip-build --filter 'ZooTests|OnnxConformanceTests|NetworkTests'
	$(TRAINING)/bin/python Tests/Training/supported_models.py

.PHONY: faq
faq: ## Train a matcher of questions on ../shared/data, and compare accuracy in SQL and in Python
	@[ -x $(TRAINING)/bin/python ] || python3 -m venv $(TRAINING)
	$(TRAINING)/bin/pip install -q -r Tests/Training/requirements.txt
	$(TRAINING)/bin/python Tests/Training/make_faq_model.py \
	  ../shared/data/faq_matching_substitute/stackExchange-FAQ.json .data/faq
	swift build -c release $(SWIFT_FLAGS) --build-tests
	swift test -c release $(SWIFT_FLAGS) --skip-build --filter "Faq.*Tests"

.PHONY: lint
lint: ## Check the format of all Swift sources
	swift format lint --strict --recursive $(SOURCES)

# What the build and the tests need beside Swift 6: the PostgreSQL server's programs, libpq's
# headers, those of the libraries that decode images, and pkg-config, by which the build finds them. oneDNN
# is what makes networks fast; the build goes without where there is no package of it.
.PHONY: needs
needs:
	@missing=""; \
	command -v pkg-config > /dev/null || missing="$$missing pkg-config"; \
	[ -e /usr/include/postgresql/libpq-fe.h ] || pkg-config --exists libpq 2> /dev/null \
	  || missing="$$missing libpq-dev"; \
	[ -e /usr/include/oneapi/dnnl/dnnl.h ] || missing="$$missing libdnnl-dev"; \
	[ -e /usr/include/jpeglib.h ] || pkg-config --exists libjpeg 2> /dev/null \
	  || missing="$$missing libjpeg62-turbo-dev"; \
	[ -e /usr/include/png.h ] || pkg-config --exists libpng 2> /dev/null || missing="$$missing libpng-dev"; \
	[ -e /usr/include/webp/decode.h ] || pkg-config --exists libwebp 2> /dev/null \
	  || missing="$$missing libwebp-dev"; \
	[ -n "$${ROWCAST_PG_BIN:-}" ] || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 \
	  || command -v initdb > /dev/null || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "installing with apt:$$missing"; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing; \
	fi
