# What a developer calls; `make` lists it. Nothing here asks for more than a Rust toolchain, but `test` and `bench`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build-local quickstart test bench lint clean toolchain

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := data-migrate data-migrate-server data-migrate-worker

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

toolchain:
	@command -v cargo >/dev/null || { \
	  echo "no Rust toolchain: cargo is not in PATH. See https://rustup.rs, then open a new shell." >&2; exit 2; }

build-local: toolchain ## Build the release programs into bin/
	@# With testkit named, the features of dependencies are those of the quickstart and the bench: nothing is built twice.
	cargo build --release --locked -p app -p testkit $(PROGRAMS:%=--bin %)
	@mkdir -p bin
	@for program in $(PROGRAMS); do install -m 755 $(TARGET_DIR)/release/$$program bin/$$program; done
	@echo "in bin/: $(PROGRAMS)"

quickstart: toolchain ## Build, migrate a sample tree, and show the results
	@scripts/quickstart.sh

test: toolchain ## Install what the tests need, then run them all (as root)
	@scripts/setup.sh test
	cargo test --workspace

bench: toolchain ## Measure side by side with cp, rsync and rclone (BENCH_FILES=n, ROUNDS=n, BENCH_ARGS=--strict)
	@scripts/setup.sh bench
	cargo build --release -p app -p testkit --bins
	$(TARGET_DIR)/release/bench $(BENCH_ARGS)

lint: toolchain ## Check the formatting, and clippy without warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

clean: ## Remove what was built
	rm -rf bin
	cargo clean
