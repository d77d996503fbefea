package app

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGroupFlags(t *testing.T) {
	file := write(t, "c 12.0.0.0/8\n")
	for _, row := range []struct {
		says             string
		args             []string
		groups, prefixes int
		port             uint16 // that is a service
		families         int
	}{
		{"nothing given", nil, 0, 0, 443, 18},
		{"a group", []string{"-group", "a=10.0.0.0/8,2001:db8::/32"}, 1, 2, 443, 18},
		{"groups and a file", []string{"-group", "a=10.0.0.0/8", "-group", "b/24=11.0.0.0/8", "-groups", file}, 3, 3, 443, 18},
		{"services", []string{"-service-ports", "8443, 1"}, 0, 0, 1, 18},
		{"no services", []string{"-service-ports", "none"}, 0, 0, 0, 18},
		{"metrics", []string{"-group-metrics", "tcp_group_resets_total, tcp_group_.*_seconds"}, 0, 0, 443, 4},
		{"the default and one more", []string{"-group-metrics", "default,tcp_group_connection_bytes"}, 0, 0, 443, 19},
		{"no metrics", []string{"-group-metrics", "none"}, 0, 0, 443, 0},
	} {
		o, err := parseFlags(row.args, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", row.says, err)
			continue
		}
		set, _, err := o.groups.load()
		if err != nil {
			t.Errorf("%s: %v", row.says, err)
			continue
		}
		if set.Groups() != row.groups || set.Prefixes() != row.prefixes || set.Service(row.port) != row.port || set.Service(2) != 0 {
			t.Errorf("%s: %d groups of %d prefixes, want %d of %d; port %d is service %d", row.says, set.Groups(), set.Prefixes(), row.groups, row.prefixes, row.port, set.Service(row.port))
		}
		if got := o.groups.families; len(got) != row.families {
			t.Errorf("%s: families %q, want %d", row.says, got.Names(), row.families)
		}
	}
}

// write returns the path of a file with a text in it.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "groups")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGroupFlagsThatCannotBe(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string // in the message
	}{
		{[]string{"-groups", ""}, `-groups "": name a file`},
		{[]string{"-groups", "a", "-groups", "b"}, "-groups a and -groups b: the flag takes one value"},
		{[]string{"-group", ""}, `-group "": has no =: want NAME=CIDR`},
		{[]string{"-group", "a=10.0.0.1/8"}, "-group a=10.0.0.1/8: 10.0.0.1/8 has bits behind its length: write 10.0.0.0/8"},
		{[]string{"-group", "a=10.0.0.0/8", "-group", "a=11.0.0.0/8"}, "-group a=11.0.0.0/8: group a is there already (-group a=10.0.0.0/8): give"},
		{[]string{"-group", "a=10.0.0.0/8", "-group", "b=11.0.0.0/8,10.0.0.0/8"}, "-group b=11.0.0.0/8,10.0.0.0/8: 10.0.0.0/8 is in group a already (-group a=10.0.0.0/8): leave"},
		{[]string{"-group-max", "1", "-group", "a=10.0.0.0/8", "-group", "b=11.0.0.0/8"}, "-group b=11.0.0.0/8: is group 2 of 2, and -group-max 1 has room for 1: raise it"},
		{[]string{"-service-ports", ""}, `-service-ports "": name ports`},
		{[]string{"-service-ports", "80,80"}, "-service-ports 80,80: port 80 is there twice: leave one out"},
		{[]string{"-service-ports", "80,none"}, "-service-ports 80,none: none stands alone"},
		{[]string{"-group-metrics", ""}, `-group-metrics "": name metrics by group`},
		{[]string{"-group-metrics", "tcp_resets_total"}, `-group-metrics tcp_resets_total: "tcp_resets_total" matches no family of groups: docs/metrics.md`},
		{[]string{"-group-metrics", "tcp_("}, "neither a name nor a regular expression"},
		{[]string{"-group-metrics", "none,default"}, `"none" matches no family of groups`},
		{[]string{"-read", "f", "-groups", "g"}, "-groups g: goes with a live capture only: leave it out with -read"},
		{[]string{"-read", "f", "-group", "a=10.0.0.0/8"}, "-group a=10.0.0.0/8: goes with a live capture only"},
		{[]string{"-read", "f", "-service-ports", "80"}, "-service-ports 80: goes with a live capture only"},
		{[]string{"-read", "f", "-group-max", "5"}, "-group-max 5: goes with a live capture only"},
		{[]string{"-read", "f", "-group-max-subnets", "5"}, "-group-max-subnets 5: goes with a live capture only"},
		{[]string{"-read", "f", "-group-metrics", "default"}, "-group-metrics default: goes with a live capture only"},
	} {
		_, err := parseFlags(row.args, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "-") || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line with %q", row.args, err, row.want)
		}
	}
}

func TestGroupFilesThatCannotBe(t *testing.T) {
	folder := t.TempDir()
	for _, row := range []struct {
		says, file string
		args       []string
		want       string
	}{
		{"no file", filepath.Join(folder, "none"), nil, ": no such file or directory: name a file that can be read"},
		{"a folder", folder, nil, ": not a regular file: name a file that can be read"},
		{"a device without an end", "/dev/zero", nil, ": not a regular file: name"},
		{"a bad line", write(t, "\nb 10.0.0/8"), nil, `: line 2: "10.0.0/8" is no prefix: want`},
		{"a flag's name", write(t, "a 11.0.0.0/8"), []string{"-group", "a=10.0.0.0/8"}, ": line 1: group a is there already (-group a=10.0.0.0/8): give"},
		{"a flag's prefix", write(t, "b 11.0.0.0/8 10.0.0.0/8"), []string{"-group", "a=10.0.0.0/8"}, ": line 1: 10.0.0.0/8 is in group a already (-group a=10.0.0.0/8): leave"},
		{"more groups than room", write(t, "a 10.0.0.0/8\nb 11.0.0.0/8\nc 12.0.0.0/8"), []string{"-group-max", "2"}, ": line 3: is group 3 of 3, and -group-max 2 has room for 2: raise it"},
	} {
		o, err := parseFlags(append(row.args, "-groups", row.file), io.Discard)
		if err != nil {
			t.Errorf("%s: %v", row.says, err)
			continue
		}
		if _, _, err = o.groups.load(); err == nil || !strings.HasPrefix(err.Error(), "-groups "+row.file+row.want) {
			t.Errorf("%s: error %v, want -groups %s%s", row.says, err, row.file, row.want)
		}
	}
}
