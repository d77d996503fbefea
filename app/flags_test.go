package app

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// TestFlagGivenTwice wants an error that names the flag and both values: whoever appends a flag to a
// line of others would not see that one of them has no effect.
func TestFlagGivenTwice(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // as the error begins
	}{
		{[]string{"-port", ":9100", "-port", ":9101"}, "-port :9100 and -port :9101: "},
		{[]string{"-port", ":9100", "-debug", "--port=:9100"}, "-port :9100 and -port :9100: "},
		{[]string{"-packet-filter", "tcp port 80", "-packet-filter", ""}, `-packet-filter "tcp port 80" and -packet-filter "": `},
		{[]string{"-stream-age", "60s", "-stream-age", "2m"}, "-stream-age 60s and -stream-age 2m: "},
		{[]string{"-max-connections", "10", "-max-connections", "20"}, "-max-connections 10 and -max-connections 20: "},
		{[]string{"-metrics", "default", "-metrics", "tcp_packets_total"}, "-metrics default and -metrics tcp_packets_total: "},
		{[]string{"-debug", "-debug=false"}, "-debug true and -debug false: "},
		{[]string{"-version", "-workers", "1", "-workers", "2"}, "-workers 1 and -workers 2: "},
		{[]string{"-stream-age", "5m", "-max-age", "4m"}, "-stream-age 5m and -max-age 4m: "},
		{[]string{"-max-age", "5m", "-stream-age", "5m"}, "-stream-age 5m and -max-age 5m: "},
	} {
		_, err := parseFlags(c.args, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: error %v, want it to begin with %q", c.args, err, c.want)
		} else if !strings.Contains(err.Error(), "give ") {
			t.Errorf("%q: %q does not say what to do", c.args, err)
		}
	}
	if status := run([]string{"-version", "-port", ":9100", "-port", ":9101"}, io.Discard, io.Discard); status != exitUsage {
		t.Errorf("exit status %d, want %d", status, exitUsage)
	}
}

// TestLongValuesAreCut wants a message to stay one line that can be read, whatever was typed.
func TestLongValuesAreCut(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"tcp", "tcp"},
		{"a\nb", `"a\nb"`},
		{strings.Repeat("x", 200), strings.Repeat("x", 200)},
		{strings.Repeat("x", 201), `"` + strings.Repeat("x", 200) + `…" (201 bytes in all)`},
		{strings.Repeat("é", 101), `"` + strings.Repeat("é", 100) + `…" (202 bytes in all)`},
		{"x" + strings.Repeat("é", 101), `"x` + strings.Repeat("é", 99) + `…" (203 bytes in all)`},
		{strings.Repeat("\xbf", 300), `"` + strings.Repeat(`\xbf`, 196) + `…" (300 bytes in all)`},
	} {
		if got := asTyped(c.value); got != c.want {
			t.Errorf("%.20q… is shown as %s, want %s", c.value, got, c.want)
		}
	}
}

// TestListenKeepsToItsFamily wants an IPv4 address to be one of IPv4 alone: net.Listen takes
// 0.0.0.0 for every address of both families.
func TestListenKeepsToItsFamily(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	need.That(t, err == nil, fmt.Sprintf("needs IPv6: %v", err))
	l.Close()
	for _, c := range []struct {
		addr     string
		ip4, ip6 bool
	}{
		{"0.0.0.0:0", true, false},
		{"127.0.0.1:0", true, false},
		{"[::ffff:0.0.0.0]:0", true, false},
		{":0", true, true},
		{"[::]:0", true, true},
		{"[::1]:0", false, true},
	} {
		for name, listen := range map[string]func(string) (net.Listener, error){
			"-port": func(addr string) (net.Listener, error) {
				return (&webFlags{fromPort: true}).listenTo(addr)
			},
			"-pprof": func(addr string) (net.Listener, error) {
				return listenOn(addr)
			},
		} {
			l, err := listen(c.addr)
			if err != nil {
				t.Errorf("%s %s: %v", name, c.addr, err)
				continue
			}
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			for host, want := range map[string]bool{"127.0.0.1": c.ip4, "::1": c.ip6} {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
				if err == nil {
					conn.Close()
				}
				if (err == nil) != want {
					t.Errorf("%s %s: connecting to %s: %v, want success: %v", name, c.addr, host, err, want)
				}
			}
			l.Close()
		}
	}
}
