# "make help" lists the targets; each target's line of help stands behind its "##".
#
# Variables: ARGS (flags for "make run"), FUZZTIME (for each fuzz target), BENCH (which benchmarks),
# GOFLAGS and CGO_ENABLED as the go command knows them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Under sudo, and for users who are not root, the PATH often lacks these.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

BINARY   := tcp-stream-exporter
VERSION  := $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
FUZZTIME ?= 20s
BENCH    ?= .
ARGS     ?=

# The version is stamped from git describe, so the go command need not ask git once more
# (which fails in a folder that belongs to another user).
BUILD := go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

# One package at a time: tests that measure live traffic would disturb one another.
TEST := go test -count=1 -p 1

.PHONY: help setup setup-build build run test lint race fuzz bench pgo compare clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need and the machine lacks
	@scripts/setup.sh test

setup-build:
	@scripts/setup.sh build

build: setup-build ## build ./tcp-stream-exporter
	$(BUILD) -o $(BINARY) .

run: build ## build and serve on real traffic: make run ARGS="-interface eth0 -port :9100"
	@if [ "$$(id -u)" = 0 ]; then \
		exec ./$(BINARY) $(ARGS); \
	elif command -v sudo >/dev/null; then \
		echo "capturing needs CAP_NET_RAW: running through sudo"; \
		exec sudo ./$(BINARY) $(ARGS); \
	else \
		echo "capturing needs CAP_NET_RAW and there is no sudo here: run make run as root" >&2; exit 1; \
	fi

test: setup lint ## lint and all tests; run as root, or tests of live traffic are skipped
	$(TEST) -timeout 9m ./...

lint: setup-build ## gofmt, vet (with and without cgo), staticcheck, and where unsafe, cgo and imports may go
	@files=$$(gofmt -l .) && [ -z "$$files" ] || { echo "not formatted by gofmt: $$files" >&2; exit 1; }
	go vet ./...
	CGO_ENABLED=0 go vet ./...
	go tool staticcheck ./...
	go test -count=1 ./internal/fence

race: setup ## all tests under the race detector
	$(TEST) -race -timeout 20m ./...

fuzz: setup-build ## every fuzz target in turn, FUZZTIME (20s) each
	@set -e; for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package); \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "fuzz: $$package $$target for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# The compiler reads default.pgo whenever it builds the program: what is hot is inlined further.
pgo: setup-build ## record default.pgo again, the profile that the program is built with
	go test ./capture -run '^$$' -bench Worker -benchtime 5s -cpuprofile default.pgo -o /dev/null

bench: setup-build ## all benchmarks, or those named by BENCH; leave the machine alone meanwhile
	@set -e; for package in $$(go list ./...); do \
		go test -pgo="$(CURDIR)/default.pgo" -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $$package; \
	done

compare: setup ## hold the figures of a capture file against tshark's: make compare PCAP=file
	@[ -n "$(PCAP)" ] || { echo "name a capture file: make compare PCAP=file" >&2; exit 1; }
	@go run ./internal/tsharkcmp/compare "$(PCAP)"

clean: ## remove what was built
	rm -f $(BINARY)
