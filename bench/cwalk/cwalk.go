// Package cwalk holds the bare reader in C, cwalk.c, and builds it: what a ring costs its reader without Go. It shares
// no code with the exporter. The README of this module has its flags.
package cwalk

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

//go:embed cwalk.c
var source string

// Ready is the line that the program prints on standard error once it counts.
const Ready = "cwalk: ready"

// Build compiles the program to a file with the compiler that the environment variable CC names, or cc.
func Build(ctx context.Context, to string) error {
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	cmd := exec.CommandContext(ctx, compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", to, "-x", "c", "-")
	cmd.Stdin = strings.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build cwalk: %s: %w: %s", compiler, err, strings.TrimSpace(string(out)))
	}
	return nil
}
