//go:build uml

package uml

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tcp-stream-exporter/internal/need"
)

const (
	// folderVariable names the folder that host and kernel share, in the environment of init and of the tests.
	folderVariable = "UML_TEST_FOLDER"

	exporterFile  = "tcp-stream-exporter"
	argumentsFile = "arguments" // of the test binary, each with a zero byte after it
)

// TestMain is what the test binary does in each of its three roles (doc.go).
func TestMain(m *testing.M) {
	folder, inside := os.LookupEnv(folderVariable)
	switch {
	case inside && os.Getpid() == 1:
		runInit(folder)
	case inside || !kernelIsThere():
		os.Exit(m.Run())
	}
	status, err := runKernel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "uml:", err)
	}
	os.Exit(status)
}

// needKernel is called first by every test: where there is no kernel to boot, the tests run on the host, for no other
// purpose than to say so.
func needKernel(t *testing.T) (exporter string) {
	t.Helper()
	folder, inside := os.LookupEnv(folderVariable)
	need.That(t, inside, "needs the program "+kernelProgram+": run make test-uml, which installs it")
	return filepath.Join(folder, exporterFile)
}
