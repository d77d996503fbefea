package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The dashboards that are delivered are those that the code writes.
func TestDashboardsAreGenerated(t *testing.T) {
	folder := t.TempDir()
	if err := write(folder); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"router.json", "host.json"} {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the code writes: run make dashboards", name)
		}
	}
}
