package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// verify runs systemd-analyze over the unit in a tree of its own and returns its output. Silence is
// the only pass: an unknown key or group is a mere warning with exit status 0.
func verify(t *testing.T, root string) string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+root, "/etc/systemd/system/"+unit).CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	return string(out)
}

func TestUnitVerifies(t *testing.T) {
	need.Tool(t, "systemd-analyze")
	if said := verify(t, newTree(t, os.Args[0], "")); said != "" {
		t.Errorf("systemd-analyze verify:\n%s", said)
	}
}

// TestVerifyBites spoils the unit one line at a time: each must be noticed, or TestUnitVerifies is
// worth nothing.
func TestVerifyBites(t *testing.T) {
	need.Tool(t, "systemd-analyze")
	for _, c := range []struct{ name, good, bad, want string }{
		{"a misspelt key", "\nProtectSystem=", "\nProtectSytem=", "ProtectSytem"},
		{"a value that is no boolean", "NoNewPrivileges=yes", "NoNewPrivileges=maybe", "maybe"},
		{"an unknown group of system calls", "=@system-service", "=@system-servce", "@system-servce"},
		{"a program that is not there", "=/usr/bin/tcp-stream-exporter", "=/usr/bin/nothing-here", "/usr/bin/nothing-here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newTree(t, os.Args[0], "")
			file := filepath.Join(root, "etc/systemd/system", unit)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spoilt := strings.Replace(string(text), c.good, c.bad, 1)
			if spoilt == string(text) {
				t.Fatalf("the unit has no %q", c.good)
			}
			put(t, root, "etc/systemd/system/"+unit, spoilt)
			if said := verify(t, root); !strings.Contains(said, c.want) {
				t.Errorf("systemd-analyze verify said %q, want a word on %s", said, c.want)
			}
		})
	}
}

// TestExposure holds the unit's score in "systemd-analyze security" (0 safe, 10 unsafe) at 2.0 or
// less. What remains are network access, AF_PACKET and CAP_NET_RAW, which a capture cannot do without.
func TestExposure(t *testing.T) {
	need.Tool(t, "systemd-analyze")
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", "./"+unit).CombinedOutput()
	if err != nil {
		t.Errorf("exposure above 2.0: %v\n%s", err, out)
	}
}

// TestDefaultFile wants the installed options to be empty: a fresh installation runs with the defaults.
func TestDefaultFile(t *testing.T) {
	text, err := os.ReadFile("tcp-stream-exporter.default")
	if err != nil {
		t.Fatal(err)
	}
	var set []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			set = append(set, strings.TrimSpace(line))
		}
	}
	if len(set) != 1 || set[0] != `STREAM_EXPORTER_PARAMETERS=""` {
		t.Errorf("settings %q, want the empty STREAM_EXPORTER_PARAMETERS alone", set)
	}
}
