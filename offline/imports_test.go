package offline

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestWhatItIsLinkedWith: reading files must not bring in the live capture or a server, by whatever way.
func TestWhatItIsLinkedWith(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "tcp-stream-exporter/worker") {
		t.Fatalf("no list of packages: %q", out)
	}
	for _, p := range deps {
		switch p {
		case "net/http", "tcp-stream-exporter/ring", "tcp-stream-exporter/capture", "tcp-stream-exporter/web":
			t.Errorf("it is linked with %s", p)
		}
	}
}
