#!/bin/sh
# Runs the tests of numbers and sizes as a program of 32 bits (GOARCH=386): where the kernel runs such
# programs always, elsewhere with qemu-i386 (Debian: qemu-user), without either it says what is left out.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOARCH=386

probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
printf 'package main\n\nfunc main() {}\n' >"$probe/main.go"
go build -o "$probe/probe" "$probe/main.go"
if "$probe/probe" 2>/dev/null; then
	under=
elif command -v qemu-i386 >/dev/null; then
	under='-exec qemu-i386'
	export GODEBUG=asyncpreemptoff=1 # signals in the middle of anything are too much for qemu
else
	echo "test-386: NOT RUN: this kernel runs no 386 programs and there is no qemu-i386 (Debian: qemu-user)" >&2
	exit 0
fi
# shellcheck disable=SC2086 # under is words
run() { go test -count=1 $under "$@"; }

run ./parse ./printable ./wheel
run -short ./worker
run -run 'Valid|Retire|Memory' ./ring
run -run 'Extreme|ThatCannotBe|LargerThanMemory|GivenTwice|LongValues|CPU' ./app
