package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const reloadConnections = 50

// Groups that change under live connections: what those have counted stays with the groups of before, to the byte, and
// what comes from then on counts under the new ones, while scrapes see no counter fall.
func TestGroupReloadUnderTraffic(t *testing.T) {
	t.Parallel() // mostly it waits
	path := filepath.Join(t.TempDir(), "groups")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("before 10.99.0.0/16\nremote 10.98.0.0/16\n")
	r := lab.NewRouter(t, lab.RouterConfig{})
	e := r.M.StartExporter(t, binary(t), "-interface", "tob", "-workers", "2", "-service-ports", "none", "-groups", path)
	e.KeepScraping(10 * time.Millisecond) // the lab checks that no counter falls
	ln, err := r.B.Listen("tcp4", netip.AddrPortFrom(r.B.Addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()

	stop := make(chan struct{})
	var written atomic.Int64
	var running sync.WaitGroup
	for range reloadConnections {
		c, err := r.A.Dial(t.Context(), "tcp4", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _, _ = io.Copy(io.Discard, s); s.Close() })
		running.Go(func() {
			defer c.Close()
			keepWriting(t, c, &written, stop)
		})
	}
	end := sync.OnceFunc(func() { close(stop); running.Wait() })
	t.Cleanup(end)

	before, after := combination{"before", "remote", "other"}, combination{"after", "remote", "other"}
	bytes := func(m lab.Metrics, c combination) float64 {
		return m[c.key("tcp_group_bytes_total", "direction", "from_client")]
	}
	e.Await(t, 10*time.Second, func(m lab.Metrics) error {
		if n := m[before.key("tcp_group_connections", "state", "established")]; n != reloadConnections {
			return fmt.Errorf("%v connections of the group before, want %v", n, reloadConnections)
		}
		return nil
	})
	put("after 10.99.0.0/16\nremote 10.98.0.0/16\n")
	e.Signal(t, syscall.SIGHUP)
	moved := e.Await(t, 10*time.Second, func(m lab.Metrics) error {
		old, new := m[before.key("tcp_group_connections", "state", "established")], m[after.key("tcp_group_connections", "state", "established")]
		if old != 0 || new != reloadConnections {
			return fmt.Errorf("%v connections of the group before and %v of the one after, want none and %v", old, new, reloadConnections)
		}
		return nil
	})
	if bytes(moved, before) == 0 {
		t.Errorf("no bytes of the group before")
	}
	// Connections that begin now are the new group's alone.
	lab.Transfer{From: r.A, To: r.B, Connections: 3, Forth: 1000, Back: 1000}.Run(t)
	time.Sleep(time.Second)
	end()
	m := e.Settle(t)
	nothingDropped(t, m)
	if was, is := bytes(moved, before), bytes(m, before); was != is {
		t.Errorf("%v bytes of the group before after the move, and %v later", was, is)
	}
	sent := float64(written.Load() + 3*1000)
	again := groupSum(m, "tcp_group_retransmitted_bytes_total", "direction", "from_client")
	t.Logf("%v bytes under the group before, %v under the one after, %v of both sent again; %v were written", bytes(m, before), bytes(m, after), again, sent)
	if bytes(m, after) <= bytes(moved, after) || bytes(m, before)+bytes(m, after)-again != sent {
		t.Errorf("%v and %v bytes less %v sent again, want %v together, and more after the move than the %v at its end",
			bytes(m, before), bytes(m, after), again, sent, bytes(moved, after))
	}
	for _, row := range []struct {
		family string
		of     combination
		want   float64
	}{
		{"tcp_group_connections_opened_total", before, reloadConnections},
		{"tcp_group_connections_established_total", before, reloadConnections},
		{"tcp_group_connections_opened_total", after, 3},
		{"tcp_group_connections_established_total", after, 3},
	} {
		if n := m[row.of.key(row.family)]; n != row.want {
			t.Errorf("%s of %s: %v, want %v", row.family, row.of.client, n, row.want)
		}
	}
	// They end where they are.
	closed := func(c combination) float64 {
		return groupSum(m, "tcp_group_connections_closed_total", "client_group", c.client)
	}
	if closed(before) != 0 || closed(after) != reloadConnections+3 {
		t.Errorf("%v connections were closed in the group before and %v in the one after, want none and %v", closed(before), closed(after), reloadConnections+3)
	}
}

// keepWriting writes some bytes every few milliseconds until stop is closed, and counts them.
func keepWriting(t *testing.T, c net.Conn, written *atomic.Int64, stop <-chan struct{}) {
	b := make([]byte, 3000)
	for {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		n, err := c.Write(b)
		written.Add(int64(n))
		if err != nil {
			t.Error(err)
			return
		}
	}
}
