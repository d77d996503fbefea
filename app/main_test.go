package app

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binDir holds the exporter that tests run as a process, readable for everybody.
var binDir string

func TestMain(m *testing.M) { os.Exit(inBinDir(m)) }

func inBinDir(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tcp-stream-exporter-")
	if err == nil {
		defer os.RemoveAll(dir)
		binDir, err = dir, os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// buildExporter returns the path of the exporter; it is built for the first test that asks.
func buildExporter(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "tcp-stream-exporter")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})
