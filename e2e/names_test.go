package e2e

import (
	"strings"
	"testing"
	"unicode/utf8"

	"tcp-stream-exporter/internal/lab"
)

// The kernel takes any bytes for an interface's name but '/', ':' and white space. One that is not UTF-8 can be
// captured, stands in the answers as text, and so do its bytes in the log and in errors.
func TestNamesThatAreNotUTF8(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	const name, text = "a\xff", `a\xff`
	l.A.Run(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "b\xff")
	t.Cleanup(func() { l.A.Run(t, "ip", "link", "del", name) })
	l.A.Run(t, "ip", "link", "set", name, "up")
	l.A.Run(t, "ip", "link", "set", "b\xff", "up")
	isText := func(t *testing.T, what, s string) {
		t.Helper()
		if !utf8.ValidString(s) {
			t.Errorf("%s is not UTF-8: %q", what, s)
		}
	}
	for _, given := range []string{name, "any"} {
		t.Run("-interface "+strings.ToValidUTF8(given, "?"), func(t *testing.T) {
			e := l.A.StartExporter(t, binary(t), "-debug", "-interface", given)
			m := e.Scrape(t)
			up := given
			if given == name {
				up = text
			}
			for _, key := range []string{
				lab.Key("tcp_stream_exporter_interface_up", "interface", text),
				lab.Key("tcp_stream_exporter_interface_lost_packets_total", "interface", text, "counter", "rx_dropped"),
			} {
				if _, ok := m[key]; !ok {
					t.Errorf("the scrape lacks %s", key)
				}
			}
			_, page, err := e.Do("GET", "/")
			if err != nil {
				t.Fatal(err)
			}
			isText(t, "the page", page)
			if !strings.Contains(page, up) {
				t.Errorf("the page does not name %s", up)
			}
			isText(t, "the log", e.Output())
			if !strings.Contains(e.Output(), up) {
				t.Errorf("the log does not name %s", up)
			}
		})
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"the list of interfaces", []string{"-interface", "eth7"}, text},
		{"a filter", []string{"-interface", name, "-packet-filter", "host \xfe"}, `\xfe`},
		{"a file", []string{"-read", "/nosuchfile\xfe"}, `\xfe`},
		{"a metric", []string{"-metrics", "tcp_\xfe"}, `\xfe`},
		{"an address", []string{"-interface", name, "-port", "\xfe:1"}, `\xfe`},
		{"an argument", []string{"\xfe"}, `\xfe`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := l.A.Command(binary(t), c.args...).CombinedOutput()
			if err == nil {
				t.Errorf("%q is taken", c.args)
			}
			isText(t, "the error", string(out))
			if !strings.Contains(string(out), c.want) {
				t.Errorf("the error does not show %s: %q", c.want, out)
			}
		})
	}
}
