# Everything that is slow to make is cached in one folder, keyed by versions:
# uv's downloads and the Horovod wheel, the test cluster's programs, the image layers, the data sets.
export DLTRAIN_CACHE ?= $(HOME)/.cache/dltrain
export UV_CACHE_DIR ?= $(DLTRAIN_CACHE)/uv
# One copy of the files, as links, where cache and checkout share a disk; else uv copies and says so.
export UV_LINK_MODE ?= hardlink

UV_VERSION := 0.13.9
UV_HOME := $(DLTRAIN_CACHE)/uv-$(UV_VERSION)
UV := $(UV_HOME)/bin/uv
RUN := .venv/bin/
# The two halves share a machine's cores; a file stays in one of them, for what its tests share.
UNIT := $(RUN)pytest -m "not e2e" --numprocesses=2 --dist=loadfile --no-loadscope-reorder
CLUSTER := python3 -m tests.cluster
KIND_VERSION := v0.33.0

.DEFAULT_GOAL := help
.PHONY: help demo install prepare test unit e2e e2e-chaos check format crd reference docs chart sbom lock faults schedules fuzz combinations transitions pythons bench image cluster-build cluster-up cluster-down kind-up kind-down clean

help:  ## Show what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: install  ## Train a small CNN on Fashion-MNIST with two Horovod ranks on this machine
	$(RUN)dltrain run manifests/examples/01-fashion-cnn/job.yaml

install: .venv/.installed  ## Install the project with all extras; builds Horovod once (about 6 minutes on 2 cores)

.venv/.installed: pyproject.toml uv.lock trainer_image/horovod_wheel.py $(wildcard trainer_image/horovod_build/*) | $(UV)
	$(UV) sync --frozen --all-extras --all-groups --no-install-package horovod
	python3 trainer_image/horovod_wheel.py $(UV) $(DLTRAIN_CACHE)
	@touch $@

$(UV):
	@mkdir -p $(DLTRAIN_CACHE)
	python3 -m venv $(UV_HOME) || { echo "python3 cannot make virtual environments: install python3-venv" >&2; exit 1; }
	$(UV_HOME)/bin/pip install --quiet uv==$(UV_VERSION)

test: check prepare  ## Run every check and test, the real cluster's included where this machine can run it
	$(UNIT)
	$(RUN)pytest -m e2e

unit: install  ## Run the tests that need no cluster
	$(UNIT)

prepare: install  ## Build what the tests on a real cluster need: its programs and the images
	$(CLUSTER) prepare
	@command -v chromium >/dev/null || apt-get install -qy --no-install-recommends chromium >/dev/null || echo "no chromium: the report is not tested in a browser"

e2e: $(if $(findstring current,$(CLUSTER_ARGS)),install,prepare)  ## Run the tests on a real cluster; CLUSTER_ARGS=--cluster=current for the one of KUBECONFIG
	$(RUN)pytest -m e2e $(CLUSTER_ARGS)

e2e-chaos: prepare  ## Break everything that can break under a job, at every moment (two hours), and write docs/kill-matrix.md
	CHAOS=all CHAOS_PAGE=docs/kill-matrix.md $(RUN)pytest -q --timeout=3600 tests/e2e/test_chaos.py tests/e2e/test_elastic.py

check: install  ## Lint, types, layers, generated files
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy
	$(RUN)lint-imports
	$(RUN)python -m dltrain.api.crd | diff -u manifests/crd.yaml - || { echo "manifests/crd.yaml is not up to date: make crd" >&2; exit 1; }
	$(RUN)python -m dltrain.api.reference | diff -u docs/reference/job.md - || { echo "docs/reference/job.md is not up to date: make reference" >&2; exit 1; }
	$(RUN)python -m dltrain.api.reference profile | diff -u docs/reference/profile.md - || { echo "docs/reference/profile.md is not up to date: make reference" >&2; exit 1; }
	$(RUN)python -m dltrain.cli.reference | diff -u docs/reference/cli.md - || { echo "docs/reference/cli.md is not up to date: make reference" >&2; exit 1; }
	$(RUN)python -m helm.sources --check
	$(UV) lock --check
	@python3 -m tests.supply $(UV)

format: install  ## Format the code
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

crd: install  ## Generate manifests/crd.yaml from dltrain.api
	$(RUN)python -m dltrain.api.crd > manifests/crd.yaml

reference: install  ## Generate docs/reference from dltrain.api and dltrain.cli
	@mkdir -p docs/reference
	$(RUN)python -m dltrain.api.reference > docs/reference/job.md
	$(RUN)python -m dltrain.api.reference profile > docs/reference/profile.md
	$(RUN)python -m dltrain.cli.reference > docs/reference/cli.md

docs: install  ## Build the documentation's site into dist/site; broken links are errors
	$(RUN)sphinx-build -q -W --keep-going -E -c docs -d dist/.doctrees . dist/site
	@echo "dist/site/docs/index.html"

chart: install  ## Generate what helm/dltrain has from manifests/ and helm/sources
	$(RUN)python -m helm.sources

sbom: | $(UV)  ## Write what the images hold of Python as CycloneDX into dist/sbom
	@mkdir -p dist/sbom
	$(UV) export --quiet --frozen --format cyclonedx1.5 --no-default-groups --extra operator --extra ui --preview-features sbom-export -o dist/sbom/operator.cdx.json
	$(UV) export --quiet --frozen --format cyclonedx1.5 --no-default-groups --extra trainer --extra data --extra compression --extra timm --preview-features sbom-export -o dist/sbom/trainer.cdx.json

lock: | $(UV)  ## Resolve the dependencies again
	$(UV) lock

faults: install  ## Try every fault with every write of the operator, and 2,000 random pairs (five minutes)
	FAULT_EVERY_WRITE=1 FAULT_PAIRS=2000 $(RUN)pytest -q -s --timeout=3600 tests/faults

schedules: install  ## Break network, clock and machines of simulated groups in 5,000 random schedules (minutes)
	SCHEDULES=5000 $(RUN)pytest -q --timeout=3600 tests/agent/test_simulation.py

pythons: | $(UV)  ## Run the SDK's tests on newer versions of Python (root, debootstrap)
	python3 -m tests.pythons $(UV)

fuzz: install  ## Feed every reader of foreign bytes with wrong ones for ten minutes; findings go to tests/fuzz/corpus
	$(RUN)python -m tests.fuzz $(or $(FUZZ_SECONDS),600)

combinations: install  ## Run 500 random small jobs, stopped, gone on with, and on two ranks (an hour)
	$(RUN)python -m tests.combinations $(or $(COMBINATIONS),500) $(or $(COMBINATIONS_SEED),0)

transitions: install  ## Edit jobs in 1,000 sequences on a real API server: valid, invalid and rolled-back edits
	TRANSITIONS=1000 $(RUN)pytest -q --timeout=3600 tests/sdk/test_transitions.py

bench: install  ## Measure against a peer: make bench BENCH=first-light
	@$(RUN)python -m tests.bench $(BENCH)

image: install  ## Build the operator's and the trainer's image into the test cluster's image store
	$(CLUSTER) images

cluster-build:  ## Build the test cluster's programs (about 15 minutes the first time)
	$(CLUSTER) build

cluster-up: install cluster-build image  ## Start a cluster of three nodes on this machine (root, Linux)
	$(CLUSTER) up

cluster-down:  ## Stop it; leaves no trace but the cache
	$(CLUSTER) down

kind-up:  ## Start a kind cluster instead (needs Docker)
	go run sigs.k8s.io/kind@$(KIND_VERSION) create cluster --name dltrain --config tests/cluster/kind.yaml

kind-down:  ## Delete the kind cluster
	go run sigs.k8s.io/kind@$(KIND_VERSION) delete cluster --name dltrain

clean:  ## Remove what was installed and generated here; the cache stays
	rm -rf .venv dist dltrain-runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
