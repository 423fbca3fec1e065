# Two commands matter: `make bench` and `make test`. Each sets up what is missing, and takes down what it brought up.
STACK  := stack/stack
SUITE  ?= full
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help install bench publish peers test lint up down status clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## packages that are missing, with apt
	@$(STACK) install

bench: install ## set up everything, run the quick suite (ARGS='…' are handed on), print the verdicts
	cargo build --release --locked
	@$(STACK) run $(TARGET)/release/bench-client run --suite quick $(ARGS)

publish: install ## a suite (SUITE=full, or faults) on a machine where nothing else runs, brokers restarted three times, into results/ (about 50 minutes, and up to 45 more where the host is shared)
	cargo build --release --locked
	@$(STACK) run $(TARGET)/release/bench-client run --suite $(SUITE) --exclusive --broker-restarts 3 --patience 45m $(ARGS)

peers: install ## the same service under wrk, oha, h2load, ghz, PerfTest, Kafka's own tool and ours (ARGS=--quick tries it)
	cargo build --release --locked
	@$(STACK) run bench/peers/peers.py --bin $(TARGET)/release $(ARGS)

test: install ## set up everything, then every test, real brokers included
	@$(STACK) run cargo test --workspace --locked

lint: install ## format, clippy, docs, licences, shell and compose files
	@stack/lint.sh

up: install ## start the brokers and leave them running
	@$(STACK) up

down: ## stop the brokers and throw their data away
	@$(STACK) down

status: ## what runs, where, and where its log is
	@$(STACK) status

clean: down ## also forget everything that was built or fetched
	cargo clean
	rm -rf .hopbench
