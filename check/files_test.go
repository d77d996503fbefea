package check

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// tree returns the root of a file system with these files, and symbolic links, whose contents begin with "-> ".
func tree(t *testing.T, files map[string]string) root {
	t.Helper()
	top := t.TempDir()
	for path, content := range files {
		at := filepath.Join(top, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := linkTarget(content); ok {
			err = os.Symlink(filepath.Join(top, target), at)
		} else {
			err = os.WriteFile(at, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root(top)
}

func linkTarget(content string) (string, bool) {
	const arrow = "-> "
	if len(content) < len(arrow) || content[:len(arrow)] != arrow {
		return "", false
	}
	return content[len(arrow):], true
}

func TestCPULists(t *testing.T) {
	for _, c := range []struct {
		text string
		want []int
		back string
	}{
		{"", nil, ""},
		{"0", []int{0}, "0"},
		{"0-3", []int{0, 1, 2, 3}, "0-3"},
		{"7,0-1,3", []int{0, 1, 3, 7}, "0-1,3,7"},
		{"1,1-2", []int{1, 2}, "1-2"},
		{"x,2", []int{2}, "2"},
		{"0-99999999", nil, ""}, // more than any kernel has
	} {
		got := cpuList(c.text)
		if !slices.Equal(got, c.want) || cpuText(got) != c.back {
			t.Errorf("%q: %v as %q, want %v as %q", c.text, got, cpuText(got), c.want, c.back)
		}
	}
}

func TestTextForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0 bytes"}, {size(1023), "1023 bytes"}, {size(32 << 20), "32 MiB"}, {size(3 << 29), "1.5 GiB"},
		{bitRate(0), "0 bit/s"}, {bitRate(1.25e6), "1.2 Mbit/s"}, {bitRate(99e9), "99 Gbit/s"},
		{grouped(999), "999"}, {grouped(1234567), "1,234,567"}, {grouped(-1234), "-1,234"},
		{percent(0, 0), "0%"}, {percent(1, 100_000), "under 0.1%"}, {percent(1, 40), "2.5%"}, {percent(1, 1), "100%"}, {percent(99_999, 1_000_000), "10%"},
		{seconds(412 * time.Millisecond), "0.41 s"}, {seconds(1572625 * time.Millisecond), "26m13s"}, {seconds(90 * time.Hour), "more than an hour"},
		{counted(1, "CPU"), "1 CPU"}, {counted(2000, "CPU"), "2,000 CPUs"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
