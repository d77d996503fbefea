package app

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestProfilesAreServedOnLoopbackUnlessAnAddressSaysOtherwise(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"6060", "127.0.0.1:6060"}, {":6060", "127.0.0.1:6060"}, {"https", "127.0.0.1:https"},
		{"127.0.0.2:6060", "127.0.0.2:6060"}, {"0.0.0.0:6060", "0.0.0.0:6060"}, {"[::]:6060", "[::]:6060"},
	} {
		if got, err := profileAddress(test.text); err != nil || got != test.want {
			t.Errorf("-pprof %s: %q, %v, want %q", test.text, got, err, test.want)
		}
		if o, err := parseFlags([]string{"-pprof", test.text}, io.Discard); err != nil || o.pprof != test.want {
			t.Errorf("-pprof %s: %+v, %v, want %q", test.text, o, err, test.want)
		}
	}
	for _, text := range []string{"", ":", "70000", "x y", "127.0.0.1", "127.0.0.1:", "1:2:3"} {
		if _, err := parseFlags([]string{"-pprof", text}, io.Discard); err == nil || !strings.Contains(err.Error(), "-pprof") {
			t.Errorf("-pprof %q: error %v, want one that names it", text, err)
		}
	}
}

func TestProfilesAreThereOnlyIfAskedFor(t *testing.T) {
	if stop, at, err := (&options{}).serveProfiles(nil, nil); err != nil || at != "" {
		t.Errorf("without -pprof: served at %q, %v", at, err)
	} else {
		stop()
	}
	stop, at, err := (&options{pprof: "127.0.0.1:0"}).serveProfiles(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "test", "/debug/pprof/heap?debug=1": "heap profile",
		"/debug/vars":                    `"Mallocs":`,
		"/debug/pprof/profile?seconds=1": "\x1f\x8b", // a gzip header
	} {
		answer, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, without %q", path, answer.Status, err, want)
		}
	}
	again, err := parseFlags([]string{"-pprof", at}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := again.serveProfiles(nil, nil); err == nil || !strings.Contains(err.Error(), "-pprof "+at) {
		t.Errorf("a second time at %s: error %v", at, err)
	}
	stop()
	if _, err := http.Get("http://" + at + "/debug/pprof/"); err == nil {
		t.Error("profiles are served after the end")
	}
}

// Clients that connect and say nothing make room for those that come after them.
func TestFewConnectionsForProfiles(t *testing.T) {
	stop, at, err := (&options{pprof: "127.0.0.1:0"}).serveProfiles(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var silent []net.Conn
	for range maxProfileClients + 1 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if err := silent[0].SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil { // less than the header may take
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(silent[0]); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") {
		t.Errorf("the oldest silent connection got %q, %v; want 503", answer, err)
	}
	resp, err := http.Get("http://" + at + "/debug/vars")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("beside silent connections: %s", resp.Status)
	}
}
