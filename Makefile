# Aftershock's build. `make` shows what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Builds don't need git, nor its trust in the owner of the folder.
export GOFLAGS := -buildvcs=false $(GOFLAGS)

TOOLS   := $(or $(AFTERSHOCK_TOOLS),$(CURDIR)/.cache/tools/bin)
SOURCES  = find . -name '*.go' -not -path './.cache/*'
VERSION ?= $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo dev)
export AFTERSHOCK_TOOLS := $(TOOLS)
# How long each fuzz target runs, and how often the demo runs in a soak.
FUZZTIME ?= 10s
SOAK     ?= 10
# Go packages are tested this many at a time: some start servers.
PARALLEL ?= 2

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET:"} /^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: tools
tools: ## Install what checks and tests need
	@tools/install

.PHONY: build
build: ## Build the static binary ./aftershock
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o aftershock ./cmd/aftershock

.PHONY: test
test: tools ## Install what is needed, then pass all tests
	go test -p $(PARALLEL) -timeout 15m ./...

.PHONY: race
race: tools ## All tests with the race detector
	go test -race -p $(PARALLEL) -timeout 25m ./...

.PHONY: check
check: lint race ## All static checks, then all tests with the race detector

.PHONY: lint
lint: tools ## Static checks: gofumpt, vet, golangci-lint, deadcode, the house's arrows
	@unformatted=$$($(SOURCES) -print0 | xargs -0 $(TOOLS)/gofumpt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted; run make format:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(TOOLS)/golangci-lint run --allow-parallel-runners ./...
	@dead=$$($(TOOLS)/deadcode -test ./...); \
	if [ -n "$$dead" ]; then echo "never called:"; echo "$$dead"; exit 1; fi
	go test -count=1 ./internal/house

.PHONY: format
format: tools ## Format the code
	$(SOURCES) -print0 | xargs -0 $(TOOLS)/gofumpt -w

.PHONY: demo
demo: ## Run the demo
	go run ./cmd/aftershock demo

# The directory that a demo left.
DEMO ?=

.PHONY: pictures
pictures: tools ## Make the README's picture anew from a directory that the demo left (DEMO=DIR)
	@[ -n "$(DEMO)" ] || { echo "make pictures DEMO=DIR, the directory that the demo left" >&2; exit 2; }
	go run ./tools/pictures "$(DEMO)"

.PHONY: demo-rehearsal
demo-rehearsal: ## Rehearse the demo's upgrade on a copy of its fleet, and compare with production
	AFTERSHOCK_REHEARSAL=1 go test -count=1 -v -run TestRehearsalForeseesTheStory ./demo/story

.PHONY: soak
soak: build ## Run the demo ten times (SOAK=10), with harm and without
	for n in $$(seq $(SOAK)); do echo "== demo $$n"; ./aftershock demo; echo "== control $$n"; ./aftershock demo --control; done

.PHONY: bench
bench: tools ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem -timeout 60m ./...

# How many simulated upgrades the judge is measured on.
WORLDS ?= 300

.PHONY: bench-judge
bench-judge: ## Measure the judge on simulated upgrades (WORLDS=300)
	go run ./bench/judge --worlds $(WORLDS) --format md

# In how many worlds of each sort attribution is measured.
SORTS ?= 60

.PHONY: bench-attribution
bench-attribution: ## Measure attribution with more and less to go by (SORTS=60)
	go run ./bench/judge --attribution --worlds $(SORTS) --format md

# In how many worlds of each rise the delay is measured.
RISES ?= 20

.PHONY: bench-delay
bench-delay: ## Measure the delay of the first alert (RISES=20)
	go run ./bench/judge --delays $(RISES) --format md

.PHONY: bench-flags
bench-flags: tools ## Measure serving flags: evaluations with wrk, delays of toggles, a thousand clients
	@bench/flags/run

# How many imagined rehearsals of each kind are judged.
REHEARSALS ?= 20

.PHONY: bench-rehearsal
bench-rehearsal: ## Measure how often rehearsals tell a shift, or that there is none (REHEARSALS=20)
	REHEARSALS=$(REHEARSALS) go test -count=1 -v -timeout 3h -run TestPowerOfRehearsals ./cmd/aftershock | grep '^|'

# For how many seconds the console is measured.
LOAD ?= 60

.PHONY: bench-console
bench-console: tools ## Measure 200 open consoles and 50 requests a second beside a watch (LOAD=60)
	CONSOLE_SECONDS=$(LOAD) go test -count=1 -v -run TestConsolesBesideTheWatch ./cmd/aftershock | grep -E 'consoles|judged|^(---|FAIL|ok)'

# Where PetShop lies: the folder with graph.csv.
PETSHOP ?=

.PHONY: bench-petshop
bench-petshop: ## Find the causes of a real application's troubles (PETSHOP=DIR)
	@[ -n "$(PETSHOP)" ] || { echo "make bench-petshop PETSHOP=DIR, the folder with graph.csv (docs/petshop.md)" >&2; exit 2; }
	go run ./bench/petshop --format md "$(PETSHOP)"

.PHONY: interop
interop: tools ## Hold serving flags against the official npm clients, verbosely
	go test -count=1 -v ./flags/interop

.PHONY: fuzz
fuzz: ## Run each fuzz target for ten seconds (FUZZTIME=10s)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: clean
clean: ## Remove what was built and cached here
	rm -rf aftershock .cache
