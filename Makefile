# Each target is a script: read it there, or run it directly.
.DEFAULT_GOAL := help
.PHONY: help setup build up down demo prometheus services services-down test lint bench bench-neighbour bench-rules bench-growth mutants wash clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Bring in what this machine lacks (into ~/.cache/eventrunner, nothing system-wide)
	@scripts/setup

build: ## Build the components, the providers, the lattice and the er command line
	@scripts/setup rust nats opa wasm
	@scripts/build-policies
	@scripts/build-components
	@scripts/build-providers

up: ## Build what changed and start EventRunner, with everything embedded (GATEWAY=1: behind Ory Oathkeeper and Keto; OTLP=URL: with traces)
	@GATEWAY="$(GATEWAY)" OTLP="$(OTLP)" OTLP_RATIO="$(OTLP_RATIO)" scripts/up

down: ## Stop all of it; what was stored stays in var/
	@scripts/down

demo: ## Start it, send real events through it, show where they went, leave it running
	@scripts/demo

prometheus: ## Start a Prometheus on 127.0.0.1:9090 that watches what `make up` started; `make down` stops it
	@scripts/prometheus up

services: ## Start servers that are not ours: Apache Cassandra, which tests need, and Ory Keto and Oathkeeper
	@scripts/services up

services-down: ## Stop them; what they stored stays in var/services
	@scripts/services down

test: ## Run every test, end-to-end ones included
	@scripts/test

lint: ## Check format, lints, dependency policy and scripts
	@scripts/lint

bench: ## Measure rates and where each microsecond goes
	@scripts/bench

bench-neighbour: ## Measure a tenant beside another whose consumer misbehaves (11 minutes)
	@scripts/bench --only neighbour

bench-rules: ## Measure the rule engine beside its peers
	@scripts/bench-rules

bench-growth: ## Measure the stores at 100,000, 1 M and 10 M events (10 minutes, 12 GB)
	@scripts/bench-growth

mutants: ## Break the rule engine in many small ways and count how often its tests notice (half an hour)
	@scripts/mutants

wash: ## Build wasmCloud's own command line (16 minutes, once)
	@scripts/setup wash

clean: down services-down ## Stop it and remove all it stored (var/) and built here (build/); the cache stays
	rm -rf var build
