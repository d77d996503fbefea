package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

// A server on several addresses answers at each, has one bound for all of them, and ends at all of them.
func TestMerge(t *testing.T) {
	var all []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	if one := Merge(all[:1]); one != all[0] {
		t.Errorf("%v of one listener", one)
	}
	release := make(chan struct{})
	srv := Server("", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, "in\n")
	}))
	b := Bound(srv, Merge(all), len(all))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(b) }()
	var conns []net.Conn
	for _, l := range all {
		c := connect(t, l.Addr().String())
		ask(t, c)
		conns = append(conns, c)
	}
	await(t, "requests in the handler", func() bool { return b.states(answering) == len(all) })
	for _, l := range all {
		c := connect(t, l.Addr().String())
		ask(t, c)
		if resp := answered(t, c); resp.StatusCode != 503 {
			t.Errorf("one too many: %s", resp.Status)
		}
	}
	close(release)
	for _, c := range conns {
		if resp := answered(t, c); resp.StatusCode != 200 {
			t.Errorf("%s", resp.Status)
		}
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	for _, l := range all {
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%v still takes connections", l.Addr())
		}
	}
}
