# What a developer calls; `make` lists it. Nothing here asks for more than a Rust toolchain, but `test`, `test-s3`, `torture`, `bench` and `bench-scale-big`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build build-local quickstart test test-s3 test-attack torture simulate bench bench-scale bench-scale-big lint lint-deploy clean toolchain

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := data-migrate data-migrate-server data-migrate-worker
DOCKER ?= docker
IMAGE ?= data-migrate:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

toolchain:
	@command -v cargo >/dev/null || { \
	  echo "no Rust toolchain: cargo is not in PATH. See https://rustup.rs, then open a new shell." >&2; exit 2; }

build-local: toolchain ## Build the release programs into bin/
	@# With testkit named, the features of dependencies are those of the quickstart and the bench: nothing is built twice.
	cargo build --release --locked -p app -p testkit $(PROGRAMS:%=--bin %)
	@mkdir -p bin
	@for program in $(PROGRAMS); do install -m 755 $(TARGET_DIR)/release/$$program bin/$$program; done
	@echo "in bin/: $(PROGRAMS)"

build: ## Build the container image (IMAGE=name:tag, DOCKER=podman)
	@command -v $(DOCKER) >/dev/null || { \
	  echo "no container engine: $(DOCKER) is not in PATH. Install Docker, or name another engine: make build DOCKER=podman." >&2; exit 2; }
	@$(DOCKER) info >/dev/null 2>&1 || { \
	  echo "$(DOCKER) is here, but its engine does not answer: is it running, and may you use it? See: $(DOCKER) info" >&2; exit 2; }
	$(DOCKER) build --tag $(IMAGE) .

quickstart: toolchain ## Build, migrate a sample tree, and show the results
	@scripts/quickstart.sh

test: toolchain ## Install what the tests need, then run them all (as root; DRAWS=2: with other drawn cases)
	@scripts/setup.sh test
	@# The same cases are drawn each time: what it says depends on the commit alone. Most tests wait for a lease or a
	@# clock most of the time, so that four run at once however few processors there are; of more, the file systems that they
	@# mount would hold more descriptors than a process may have where the limit is low.
	TMPDIR=$$(scripts/scratch.sh) RUST_TEST_THREADS=4 PROPTEST_RNG_SEED=$(or $(DRAWS),1) cargo test --workspace --no-fail-fast

test-s3: toolchain ## Test uploads to garage, an S3 server that checks strictly (built first, some minutes)
	@scripts/setup.sh test-s3
	GARAGE=$(or $(GARAGE),$(abspath $(TARGET_DIR))/tools/garage/bin/garage) cargo test -p app --test uploads_garage -- --ignored

test-attack: toolchain ## Attack the trees while root copies them (ATTACK_SECS=600), then a build that follows links
	TMPDIR=$$(scripts/scratch.sh) ATTACK_SECS=$(or $(ATTACK_SECS),600) cargo test -p transfer --test it -- attacker --nocapture
	TMPDIR=$$(scripts/scratch.sh) cargo test -p transfer --features deliberately-unsafe --test it -- attacker --nocapture

torture: toolchain ## Kill, freeze and cut off servers and workers (RUNS=500, SEED=1: the first of them)
	@scripts/setup.sh test
	TMPDIR=$$(scripts/scratch.sh) TORTURE_RUNS=$(or $(RUNS),500) TORTURE_SEED=$(or $(SEED),1) cargo test -p app --test torture -- --nocapture

simulate: toolchain ## Play the scheduler, leases and fence from seeds (SEEDS=100000, SEED=1: the first; BREAK=rule)
	cargo run --release -p simulation -- --seeds $(or $(SEEDS),100000) --from $(or $(SEED),1) $(BREAK:%=--break %)

bench: toolchain ## Measure side by side with other tools (BENCH_CASES=a,b, BENCH_TOOLS=a,b, ROUNDS=n, BENCH_ARGS=--strict)
	@scripts/setup.sh bench
	cargo build --release -p app -p testkit --bins
	$(TARGET_DIR)/release/bench $(BENCH_ARGS)

bench-scale: toolchain ## Measure one server under 1,000 simulated workers (SCALE_WORKERS, SCALE_ITEMS, BENCH_ARGS=--strict)
	cargo build --release -p app -p scale --bins
	$(TARGET_DIR)/release/scale $(BENCH_ARGS)

bench-scale-big: toolchain ## Measure memory while 10,000,000 entries pass two workers (BENCH_BIG_ENTRIES, BENCH_ARGS=--strict)
	@scripts/setup.sh bench-scale-big
	cargo build --release -p app -p testkit --bins
	@# In a mount namespace of its own: what is mounted is gone with it, however it ends.
	BENCH_CASES=entries unshare --mount --propagation private $(TARGET_DIR)/release/bench $(BENCH_ARGS)

lint: toolchain ## Check the formatting, and clippy without warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

lint-deploy: ## Check manifests, units, scripts and Dockerfile (installs linters by package name)
	@deploy/lint.sh

clean: ## Remove what was built
	rm -rf bin
	cargo clean
