#!/bin/sh
# Runs a test program for 386: "go test -exec scripts/run386.sh". Where the kernel runs no programs of 32
# bits it says so and succeeds, the program being built at least, unless EMULATE names an emulator.
#
# qemu-i386 gets along with one of Go's threads at a time only, and not with the scheduler's signals.

set -eu

if [ -n "${EMULATE:-}" ]; then
	exec env GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1 "$EMULATE" "$@"
fi
if "$1" -test.list '^$' >/dev/null 2>&1; then
	exec "$@"
fi
echo "$1: not run: this kernel runs no programs of 32 bits (EMULATE=qemu-i386 does)" >&2
