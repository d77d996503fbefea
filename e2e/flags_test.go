package e2e

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Every flag that dashboards' owners have in their units and scripts, with its default, as -help
// prints it.
func TestHelpListsTheFlags(t *testing.T) {
	help := output(t, "-help")
	for _, c := range []struct{ flag, standard string }{
		{"interface", `"eth0"`}, {"port", `":9100"`}, {"packet-filter", `"tcp"`},
		{"stream-age", "5m0s"}, {"max-age", ""}, {"finalized-age", "1m0s"},
		{"framesize", "2048"}, {"blocksize", "262144"}, {"numblocks", "128"},
		{"max-connections", "262144"},
		{"debug", ""}, {"go-metrics", ""}, {"process-metrics", ""}, {"version", ""},
	} {
		// "  -port address" and, on the next line, its description.
		entry := regexp.MustCompile(`(?m)^ +-` + c.flag + `( .*)?\n(.*)$`).FindString(help)
		if entry == "" {
			t.Errorf("-help does not list -%s:\n%s", c.flag, help)
		} else if c.standard != "" && !strings.Contains(entry, "(default "+c.standard+")") {
			t.Errorf("-help says of -%s %q, want the default %s", c.flag, entry, c.standard)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := output(t, "-version"); !regexp.MustCompile(`^tcp-stream-exporter \S.*\n$`).MatchString(got) {
		t.Errorf("-version prints %q, want one line: the name and a version", got)
	}
}

// output runs the exporter with one flag that makes it print something and end with status 0.
func output(t *testing.T, flag string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary(t), flag)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() != 0 {
		t.Fatalf("%s: %v, standard error %q; want status 0 and nothing", flag, err, &stderr)
	}
	return stdout.String()
}
