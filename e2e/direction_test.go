package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// -direction in sees what arrives and nothing of what is sent, out the other way round.
func TestDirection(t *testing.T) {
	for _, row := range []struct {
		direction          string
		arriving, outgoing bool
	}{{"in", true, false}, {"out", false, true}, {"both", true, true}} {
		t.Run(row.direction, func(t *testing.T) {
			t.Parallel()
			for _, workers := range []string{"1", "2"} {
				l := lab.New(t)
				s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
				e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-direction", row.direction, "-workers", workers)
				if err := c.exchange(s, uploadBytes, downloadBytes); err != nil {
					t.Fatal(err)
				}
				m := e.Settle(t)
				var in, out float64
				for key, bytes := range m {
					if strings.HasPrefix(key, "tcp_bytes_transferred_total{") {
						if strings.Contains(key, `dst_ip="`+l.A.Addr.String()+`"`) {
							in += bytes
						} else {
							out += bytes
						}
					}
				}
				if (in >= uploadBytes) != row.arriving || (out >= downloadBytes) != row.outgoing || !row.arriving && in != 0 || !row.outgoing && out != 0 {
					t.Errorf("%s workers: %v bytes arriving and %v sent are counted; %d and %d were exchanged", workers, in, out, uploadBytes, downloadBytes)
				}
				if got := m["capture_dropped_packets_total"]; got != 0 {
					t.Errorf("%s workers: %v packets dropped", workers, got)
				}
			}
		})
	}
}

// With -wait an interface that does not exist yet is captured from when it does, and no earlier than that is anything
// wrong with the program: it serves.
func TestWaitsForTheInterface(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	exists := lab.Key("tcp_stream_exporter_interface_exists", "interface", "later0")
	up := lab.Key("tcp_stream_exporter_interface_up", "interface", "later0")
	e := l.A.StartExporter(t, binary(t), "-interface", "later0", "-wait")
	m := e.Scrape(t)
	if v, ok := m[exists]; !ok || v != 0 || m[up] != 0 {
		t.Errorf("before it exists: %s %v (there: %v), %s %v", exists, v, ok, up, m[up])
	}
	l.A.Run(t, "ip", "link", "set", lab.IfName, "down")
	l.A.Run(t, "ip", "link", "set", lab.IfName, "name", "later0")
	l.A.Run(t, "ip", "link", "set", "later0", "up")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if m[up] != 1 || m[exists] != 1 {
			return fmt.Errorf("%s %v, %s %v", up, m[up], exists, m[exists])
		}
		return nil
	})
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	if err := c.exchange(s, uploadBytes, downloadBytes); err != nil {
		t.Fatal(err)
	}
	checkBytes(t, e.Settle(t), s, c)
	out := e.Output()
	if n := strings.Count(out, "there is no such interface yet"); n != 1 {
		t.Errorf("%d lines say that there is none yet, want one:\n%s", n, out)
	}
	if strings.Contains(out, "exists any more") {
		t.Errorf("it is said to be gone for good:\n%s", out)
	}
}

// -promiscuous switches the interface for as long as the exporter runs, however it ends, and for one that came later.
func TestPromiscuous(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	await := func(want bool) {
		t.Helper()
		for until := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got := strings.Contains(l.A.Run(t, "ip", "-d", "link", "show", lab.IfName), "promiscuity 1")
			if got == want {
				return
			}
			if time.Now().After(until) {
				t.Fatalf("promiscuous: %v, want %v", got, want)
			}
		}
	}
	await(false)
	for _, args := range [][]string{{"-promiscuous"}, {"-promiscuous", "-workers", "2"}} {
		e := l.A.StartExporter(t, binary(t), append(args, "-interface", lab.IfName)...)
		l.A.Run(t, "ip", "link", "show", lab.IfName)
		if n := strings.Count(l.A.Run(t, "ip", "-d", "link", "show", lab.IfName), "promiscuity 0"); n != 0 {
			t.Errorf("%v: not promiscuous", args)
		}
		e.Stop(t, syscall.SIGKILL)
		await(false)
	}
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	await(false)
	e.Stop(t, syscall.SIGKILL)
}
