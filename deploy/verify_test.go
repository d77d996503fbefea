package deploy_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// verify runs systemd-analyze over a service in a tree of its own and returns its output. Silence is
// the only pass: an unknown key or group is a mere warning with exit status 0.
func verify(t *testing.T, root, service string) string {
	t.Helper()
	// As the machine has it, whose systemd runs the services.
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+root, "/etc/systemd/system/"+service).CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	return string(out)
}

func TestUnitVerifies(t *testing.T) {
	need.Tool(t, "systemd-analyze")
	for _, service := range []string{unit, instance("br-lan.10"), socket} {
		if said := verify(t, newTree(t, os.Args[0], nil), service); said != "" {
			t.Errorf("systemd-analyze verify %s:\n%s", service, said)
		}
	}
}

// TestUnitsAreAlike holds the template against the unit: only what an instance makes different may differ.
func TestUnitsAreAlike(t *testing.T) {
	settings := func(name string) (all []string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			key, _, _ := strings.Cut(line, "=")
			switch {
			case strings.HasPrefix(line, "#") || line == "\n":
			case slices.Contains([]string{"Description", "EnvironmentFile", "ExecStart"}, key):
				all = append(all, key)
			default:
				all = append(all, line)
			}
		}
		return all
	}
	if one, each := settings(unit), settings(template); len(one) < 20 || !slices.Equal(one, each) {
		t.Errorf("%s has\n%q,\n%s\n%q", unit, one, template, each)
	}
}

// spoiling replaces good by bad in a unit, which gives want in what systemd-analyze says.
type spoiling struct{ name, good, bad, want string }

// units returns the files to spoil, and the units that they make.
func (s spoiling) units() map[string]string {
	if strings.Contains(s.good, "ListenStream") {
		return map[string]string{socket: socket}
	}
	return map[string]string{unit: unit, template: instance("eth1")}
}

// TestVerifyBites spoils each unit one line at a time: each must be noticed, or TestUnitVerifies is
// worth nothing.
func TestVerifyBites(t *testing.T) {
	need.Tool(t, "systemd-analyze")
	for _, c := range []spoiling{
		{"a misspelt key", "\nProtectSystem=", "\nProtectSytem=", "ProtectSytem"},
		{"a value that is no boolean", "NoNewPrivileges=yes", "NoNewPrivileges=maybe", "maybe"},
		{"an unknown group of system calls", "=@system-service", "=@system-servce", "@system-servce"},
		{"a program that is not there", "=/usr/bin/tcp-stream-exporter", "=/usr/bin/nothing-here", "/usr/bin/nothing-here"},
		{"a misspelt key of the socket", "\nListenStream=", "\nListenSteam=", "ListenSteam"},
		{"a port that is none", "ListenStream=9100", "ListenStream=91000", "91000"},
	} {
		for name, service := range c.units() {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				root := newTree(t, os.Args[0], nil)
				file := filepath.Join(root, "etc/systemd/system", name)
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				spoilt := strings.Replace(string(text), c.good, c.bad, 1)
				if spoilt == string(text) {
					t.Fatalf("the unit has no %q", c.good)
				}
				put(t, root, "etc/systemd/system/"+name, spoilt)
				if said := verify(t, root, service); !strings.Contains(said, c.want) {
					t.Errorf("systemd-analyze verify said %q, want a word on %s", said, c.want)
				}
			})
		}
	}
}

// TestExposure holds each unit's score in "systemd-analyze security" (0 safe, 10 unsafe) at 2.0 or less, and the score that
// docs/systemd.md has against the systemd that it names: newer ones count more. What remains are network access, AF_PACKET
// and CAP_NET_RAW, which a capture cannot do without.
func TestExposure(t *testing.T) {
	need.Tool(t, "systemd-analyze")
	text, err := os.ReadFile("../docs/systemd.md")
	if err != nil {
		t.Fatal(err)
	}
	stated := regexp.MustCompile(`(?s)a score of (\d+\.\d),.*?\(systemd (\d+)\)`).FindStringSubmatch(string(text))
	if stated == nil {
		t.Fatal("docs/systemd.md has no score of the units with the version of systemd")
	}
	version, err := exec.Command("systemd-analyze", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range units {
		out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", "./"+name).CombinedOutput()
		if err != nil {
			t.Errorf("%s: exposure above 2.0: %v\n%s", name, err, out)
		}
		score := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d)`).FindSubmatch(out)
		if score == nil {
			t.Fatalf("%s: no score in\n%s", name, out)
		}
		if strings.HasPrefix(string(version), "systemd "+stated[2]+" ") && string(score[1]) != stated[1] {
			t.Errorf("%s: the score is %s, docs/systemd.md says %s", name, score[1], stated[1])
		}
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
