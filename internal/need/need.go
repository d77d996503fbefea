// Package need states what a test needs from the machine: root, a tool, a file. In CI (the
// environment variable CI is set) a missing need fails the test; elsewhere it skips with a reason.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Root needs the effective user to be root (packet sockets, network namespaces).
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

// Tool needs an executable on the path; "make setup" installs the ones that tests use.
func Tool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, "needs the tool "+name+": run make setup")
	}
}

// File needs a file or folder to exist.
func File(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, "needs "+path)
	}
}

// That needs what is described to hold.
func That(t testing.TB, ok bool, what string) {
	t.Helper()
	if !ok {
		missing(t, what)
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
