# "make help" lists the targets; each target's line of help stands behind its "##".
#
# Variables: ARGS (flags for "make run"), FUZZTIME (for each fuzz target), SOAKTIME, FLOODTIME, BENCH
# (which benchmarks), LIVE, ROUTER, SCENE and PATHLAB (flags for "make bench-live", "make bench-router", "make
# bench-scene" and "make path-table"), DEMO (flags for "make demo"), BROWSER (flags of the tests of "make test-browser"),
# PROFILEPORT, GOFLAGS and CGO_ENABLED as the go command knows them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Under sudo, and for users who are not root, the PATH often lacks these.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

BINARY   := tcp-stream-exporter
VERSION  := $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
FUZZTIME ?= 50000x
RACE     ?= ./...
SOAKTIME ?= 10m
FLOODTIME ?= 20s
BENCH    ?= .
ARGS     ?=
LIVE     ?=
SCENE    ?=
PATHLAB  ?=
PERF     ?=
ROUTER   ?=
DEMO     ?=
BROWSER  ?=
PROFILEPORT ?= 6061

# The version is stamped from git describe, so the go command need not ask git once more
# (which fails in a folder that belongs to another user).
BUILD := go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

# One package at a time: tests that measure live traffic would disturb one another. The others may run side by side.
TEST := go test -count=1 -p 1
LIVE := /(app|capture|check|cgo/.*|deploy|internal/cmd/.*|internal/lab|internal/netns|loss|netif|ring|web)$$
E2E  := /e2e$$

# Two packages at a time, of tests that mostly wait. Of their parallel tests six at a time, for the same reason.
BESIDE := go test -count=1 -p 2 -parallel 6

# Modules of their own, so that what they need does not become the exporter's.
MODULES := bench collector/scrapetest

# The processors that Go knows on Linux, besides amd64.
PORTS ?= 386 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x

# Packages whose tests run the exporter as a process, which the race detector does not look into.
PROCESS := /(deploy|e2e)$$

.PHONY: help setup setup-build build run demo test test-invariants test-nocgo test-386 test-uml lint ports race fuzz soak flood expiry bench perf plots bench-live bench-router bench-scene path-live path-table profile pgo compare packages test-packages test-browser dashboards test-dashboards clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need and the machine lacks
	@scripts/setup.sh test

setup-build: # what building needs
	@scripts/setup.sh build

build: ## build ./tcp-stream-exporter; names what is missing, and installs nothing
	@scripts/setup.sh check
	$(BUILD) -o $(BINARY) .

run: setup-build build ## install what is missing, build and serve on real traffic: make run ARGS="-interface eth0 -port :9100"
	@if [ "$$(id -u)" = 0 ]; then \
		exec ./$(BINARY) $(ARGS); \
	elif command -v sudo >/dev/null; then \
		echo "capturing needs CAP_NET_RAW: running through sudo"; \
		exec sudo ./$(BINARY) $(ARGS); \
	else \
		echo "capturing needs CAP_NET_RAW and there is no sudo here: run make run as root" >&2; exit 1; \
	fi

# exec: what make is told by a signal reaches the demo, which removes what it has made.
demo: build setup ## a router between clients and a web server, over paths that lose and delay, with exporter and Prometheus (root): make demo DEMO="-clients 50"
	@go build -C bench -o "$(CURDIR)/$(BINARY)-demo" ./cmd/demo && exec ./$(BINARY)-demo -exporter ./$(BINARY) $(DEMO)

# The end-to-end tests take the longest by far: the others of live traffic run beside them, one after the other.
test: setup ## all tests; run as root, or tests of live traffic are skipped
	go test -count=1 -timeout 9m $$(go list ./... | grep -v -E '$(LIVE)|$(E2E)')
	$(BESIDE) -timeout 15m $$(go list ./... | grep -E '$(E2E)') $$(go list ./... | grep -E '$(LIVE)')
	@set -e; for module in $(MODULES); do \
		echo "$(BESIDE) ./... (in $$module)"; (cd $$module && $(BESIDE) -timeout 9m ./...); \
	done

test-invariants: ## tests of the table and the wheel that check themselves after every change
	$(TEST) -timeout 9m -tags invariants ./table ./wheel

test-nocgo: ## vet and tests of the build without cgo and libpcap, by its filter and its files
	CGO_ENABLED=0 go vet ./...
	CGO_ENABLED=0 $(TEST) ./cgo/... ./offline ./app ./worker
	CGO_ENABLED=0 $(TEST) -run 'FilterOfAFile' ./e2e

test-386: setup-build ## tests of numbers and sizes with 32 bits, under qemu-i386 where the kernel runs no 386 programs (1 minute)
	@scripts/test-386.sh

test-uml: ## every kind of interface, on a kernel of its own that runs as a program: User Mode Linux (4 minutes, root)
	@scripts/setup.sh uml
	$(TEST) -tags uml -timeout 20m ./e2e/uml

# No part of "make test": the browser's protocol takes a minute to compile at first.
test-browser: ## the page at / in headless Chromium (root; a minute, longer at first): BROWSER="-screenshots /tmp" for pictures
	@scripts/setup.sh browser
	cd web/browsertest && go vet ./... && $(TEST) -timeout 9m ./... $(BROWSER)

dashboards: ## write deploy/grafana/*.json by the code in deploy/grafana/gen
	go run -C deploy/grafana/gen .

# No part of "make test": Grafana's SDK takes 70 seconds of processor time to compile at first.
test-dashboards: ## the dashboards are those that their code writes
	cd deploy/grafana/gen && go vet ./... && $(TEST) ./...

lint: setup-build ## gofmt, vet, fix, staticcheck, misspell, where unsafe, cgo and imports may go, what is inlined
	@files=$$(gofmt -l .) && [ -z "$$files" ] || { echo "not formatted by gofmt: $$files" >&2; exit 1; }
	go vet ./...
	go vet -tags invariants ./table ./wheel
	go vet -tags uml ./e2e/uml
	go vet -tags packages ./deploy
	@set -e; for module in $(MODULES); do echo "go vet ./... (in $$module)"; (cd $$module && go vet ./...); done
	go fix -diff ./... # what the language and its library do better today; prints nothing if nothing does
	go tool staticcheck -checks inherit,ST1000,ST1020,ST1021,ST1022 ./... # with the rules for doc comments
	go tool staticcheck -tags uml -checks inherit,ST1000,ST1020,ST1021,ST1022 ./e2e/uml
	go tool staticcheck -tags packages -checks inherit,ST1000,ST1020,ST1021,ST1022 ./deploy
	find . -name .git -prune -o -type f \( -name '*.go' -o -name '*.md' -o -name '*.sh' \) -print | xargs go tool misspell -error
	go test -count=1 ./internal/fence

ports: ## vet and build the whole program for PORTS (default: every processor that Go has on Linux, half an hour of CPU time at first)
	@set -e; for port in $(PORTS); do \
		echo "$$port"; CGO_ENABLED=0 GOARCH=$$port go vet ./...; CGO_ENABLED=0 GOARCH=$$port go build -o /dev/null .; \
	done
	CGO_ENABLED=0 GOARCH=riscv64 go vet ./table # one without assembly of its own

race: setup ## tests under the race detector, and the exporter built with it on live traffic
	go list $(RACE) | grep -v -E '$(LIVE)|$(PROCESS)' | xargs -r go test -count=1 -race -timeout 20m
	go list $(RACE) | grep -E '$(LIVE)' | grep -v -E '$(PROCESS)' | xargs -r $(TEST) -race -timeout 20m
	$(if $(filter ./...,$(RACE)),$(TEST) -race -timeout 20m -run RaceDetector ./e2e)

fuzz: setup-build ## every fuzz target in turn, FUZZTIME (50000x: so many inputs, or 10m) each
	@set -e; for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package); \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "fuzz: $$package $$target for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$package; \
		done; \
	done

soak: setup ## let connections come and go: in the table and the wheel, then live for SOAKTIME (10m)
	go run ./internal/cmd/soak
	$(TEST) -v -run TestSoak -timeout 24h ./e2e -args -soak $(SOAKTIME)

flood: setup ## SYN flood of FLOODTIME (20s), as fast as the generator goes
	$(TEST) -v -run TestSYNFlood -timeout 24h ./e2e -args -flood $(FLOODTIME) -floodrate 0

expiry: setup ## half a million streams live and five million of a file, all of which go again (1 minute)
	$(TEST) -v -run Expiry -timeout 1h ./e2e -args -expiry

# Programs of the module in bench/, in a folder that is gone afterwards.
TOOLS = tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && go build -C bench -o "$$tools/" ./cmd/... && \
	$(CC) -std=gnu11 -O2 -Wall -Wextra -o "$$tools/cwalk" -x c bench/cwalk/cwalk.c

perf: build setup ## measure all tables of PERF.md, draw its plots (20 minutes, root, a quiet machine): make perf PERF="-quick" to try it out
	@$(TOOLS) && "$$tools/perf" -exporter ./$(BINARY) $(PERF) && "$$tools/plots"

plots: ## tables and plots of PERF.md from the data files in docs/perf
	go run -C bench ./cmd/plots -root ..

bench-live: build setup ## exporter, bare ring walks in Go and C, and gopacket on the same traffic (9 minutes, root): make bench-live LIVE="-runs 3"
	@$(TOOLS) && "$$tools/benchlive" -exporter ./$(BINARY) $(LIVE)

bench-router: build setup ## what watching costs a router: packets no longer forwarded (8 minutes, root, a quiet machine): ROUTER="-quick" to try it out
	@$(TOOLS) && \
	"$$tools/benchrouter" -exporter ./$(BINARY) -markdown=false -tsv docs/perf/router.tsv $(ROUTER) && \
	"$$tools/benchrouter" -exporter ./$(BINARY) -kernel -markdown=false -tsv docs/perf/router-kernel.tsv $(ROUTER) && "$$tools/plots"

bench-scene: build setup ## a web server's scene on lo, with drops, CPU time and memory (80 seconds, root)
	@$(TOOLS) && "$$tools/benchscene" -exporter ./$(BINARY) $(SCENE)

path-live: setup ## a live capture beside paths with known loss and reordering, against the truth and the kernel (2 minutes, root)
	cd bench && $(TEST) -v -run TestLive -timeout 10m ./cmd/pathlab -args -matrix

path-table: build setup ## exporter, kernel and tshark on 48 recorded paths (9 minutes, root): make path-table PATHLAB="-run ^26ms -congestion bbr"
	@$(TOOLS) && "$$tools/pathlab" -exporter ./$(BINARY) -markdown $(PATHLAB)

# The profile over a file is taken of the exporter that reads the file again and again.
profile: build setup ## CPU profiles: file.prof over a generated file, live.prof on live traffic (40 seconds, root)
	@$(TOOLS) && \
	go run ./internal/cmd/pcapgen -connections 1000 > "$$tools/file.pcap" && \
	{ ./$(BINARY) -read "$$tools/file.pcap" -repeat 1000000 -pprof $(PROFILEPORT) > /dev/null & } && \
	reader=$$! && trap 'kill $$reader; rm -rf "$$tools"' EXIT && \
	sleep 2 && curl -sSf -o file.prof 'http://127.0.0.1:$(PROFILEPORT)/debug/pprof/profile?seconds=10' && \
	kill $$reader && trap 'rm -rf "$$tools"' EXIT && \
	"$$tools/benchlive" -exporter ./$(BINARY) -streams 1000 -duration 10s -profile live.prof && \
	for profile in file.prof live.prof; do \
		echo "$$profile:"; go tool pprof -top -nodecount 15 $(BINARY) $$profile 2>/dev/null; \
	done && \
	echo "look further with: go tool pprof -http :8081 $(BINARY) $(CURDIR)/live.prof (or $(CURDIR)/file.prof)"

# The compiler reads default.pgo whenever it builds the program: what is hot is inlined further.
# Of five loads, so that what only groups, many segments in flight, a loss or several interfaces bring about is seen, too.
pgo: setup-build ## record default.pgo again, the profile that the program is built with (1 minute)
	@profiles=$$(mktemp -d) && trap 'rm -rf "$$profiles"' EXIT && \
	go test -c -o "$$profiles/capture.test" ./capture && \
	record() { name=$$1; shift; "$$profiles/capture.test" -test.run '^$$' -test.cpuprofile "$$profiles/$$name.prof" "$$@"; } && \
	record all -test.bench Worker -test.benchtime 3s && \
	record groups -test.bench Worker -test.benchtime 3s -groups 16 && \
	record flight -test.bench Worker/'streams=1000$$' -test.benchtime 4s -flight 8 && \
	record loss -test.bench Worker/'streams=1000$$' -test.benchtime 4s -flight 2 -loss 0.01 && \
	record interfaces -test.bench Worker/'streams=1000$$' -test.benchtime 4s -by-interface && \
	go tool pprof -proto "$$profiles"/*.prof > default.pgo

bench: setup-build ## all benchmarks, or those named by BENCH; leave the machine alone meanwhile
	@set -e; for package in $$(go list ./...); do \
		go test -pgo="$(CURDIR)/default.pgo" -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $$package; \
	done

compare: setup ## hold the figures of a capture file against tshark's: make compare PCAP=file
	@[ -n "$(PCAP)" ] || { echo "name a capture file: make compare PCAP=file" >&2; exit 1; }
	@go run ./internal/cmd/compare "$(PCAP)"

packages: setup-build ## .deb, .rpm and tarballs for amd64 and arm64 into dist/ (ARCHES=amd64: one of them), the same bytes for the same commit
	@scripts/setup.sh packages
	@VERSION='$(VERSION)' deploy/packages/build.sh

test-packages: packages ## install, upgrade and remove the packages in a Debian of their own, lintian and rpmlint (root, network, some minutes)
	@scripts/setup.sh test-packages
	$(TEST) -v -tags packages -run Package -timeout 20m ./deploy -args -dist '$(CURDIR)/dist'

clean: ## remove what was built
	rm -f $(BINARY) $(BINARY)-demo file.prof live.prof
	rm -rf dist
