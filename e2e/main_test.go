package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binDir holds the exporter that the tests run. Any user may enter it: one test runs the exporter
// without rights.
var binDir string

func TestMain(m *testing.M) { os.Exit(runIn(m)) }

func runIn(m *testing.M) int {
	var err error
	if binDir, err = os.MkdirTemp("", "tcp-stream-exporter-e2e-"); err == nil {
		defer os.RemoveAll(binDir)
		err = os.Chmod(binDir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// binary returns the path of the exporter; it is built for the first test that asks.
func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	path := filepath.Join(binDir, "tcp-stream-exporter")
	if out, err := exec.Command("go", "build", "-C", "..", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the exporter: %w\n%s", err, out)
	}
	return path, nil
})

// lookAtSources visits every folder of the module. The go command remembers a passed test together
// with the files that the test looked at, but it does not see what "go build" reads: without this
// it would go on saying "(cached)" after a change of the exporter.
func lookAtSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir // .git
		}
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		return err
	})
}
