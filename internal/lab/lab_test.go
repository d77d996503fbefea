package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
)

func TestEverythingIsGoneAfterTheTest(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	var names []string
	t.Run("lab", func(t *testing.T) {
		l := New(t)
		names = []string{l.A.Name, l.B.Name}
		for _, n := range names {
			if _, err := os.Stat("/run/netns/" + n); err != nil {
				t.Errorf("during the test: %v", err)
			}
		}
	})
	if len(names) == 0 {
		t.Fatal("no lab was made")
	}
	for _, n := range names {
		if _, err := os.Stat("/run/netns/" + n); !os.IsNotExist(err) {
			t.Errorf("namespace %s after the test: %v, want none", n, err)
		}
	}
}

func TestDoRunsInTheNamespaceAndNothingElseDoes(t *testing.T) {
	l := New(t)
	link := func() string {
		s, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return s
	}
	before := link()
	var inA, inB string
	if err := l.A.Do(func() error { inA = link(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.B.Do(func() error { inB = link(); return nil }); err != nil {
		t.Fatal(err)
	}
	if inA == before || inB == before || inA == inB {
		t.Errorf("namespaces of A %s, B %s, the test %s: want three", inA, inB, before)
	}
	for range 100 { // on whatever threads the scheduler picks
		done := make(chan string)
		go func() { done <- link() }()
		if now := <-done; now != before {
			t.Fatalf("a goroutine after Do runs in %s, want %s", now, before)
		}
	}
	if err := l.A.Do(func() error { return io.ErrNoProgress }); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error of the function: %v, want it handed on", err)
	}
	if _, err := l.A.Dial(context.Background(), "tcp", "localhost:80"); err == nil {
		t.Error("dial of a name: no error, want one")
	}
}

func TestPacketsAreReceivedOnOneCPU(t *testing.T) {
	l := New(t)
	for _, ns := range []*NS{l.A, l.B} {
		for _, i := range []string{"lo", IfName} {
			mask := "/sys/class/net/" + i + "/queues/rx-0/rps_cpus"
			if got := strings.TrimSpace(ns.Run(t, "cat", mask)); strings.Trim(got, "0,") != "1" {
				t.Errorf("%s of %s is %q, want CPU 0 alone", mask, ns.Name, got)
			}
		}
	}
}

func TestTrafficCrossesTheVeth(t *testing.T) {
	l := New(t)
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("offloads=%v", on), func(t *testing.T) {
			l.Offloads(t, on)
			want := fmt.Sprintf("tcp-segmentation-offload: %s", map[bool]string{true: "on", false: "off"}[on])
			if got := l.A.Run(t, "ethtool", "-k", IfName); !strings.Contains(got, want) {
				t.Errorf("ethtool -k: no %q in:\n%s", want, got)
			}
			before := l.A.Counters(t)

			ln, err := l.A.Listen("tcp4", l.A.Addr.String()+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				if c, err := ln.Accept(); err == nil {
					io.WriteString(c, "hello")
					c.Close()
				}
			}()
			c, err := l.B.Dial(context.Background(), "tcp4", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
				t.Errorf("read %q, %v, want \"hello\"", got, err)
			}
			if host := c.LocalAddr().(*net.TCPAddr).IP.String(); host != l.B.Addr.String() {
				t.Errorf("client's address %s, want %s", host, l.B.Addr)
			}
			after := l.A.Counters(t)
			if got := after["TcpPassiveOpens"] - before["TcpPassiveOpens"]; got != 1 {
				t.Errorf("TcpPassiveOpens grew by %d, want 1", got)
			}
		})
	}
}

func TestParseSNMP(t *testing.T) {
	c, err := parseSNMP("Tcp: MaxConn RetransSegs\nTcp: -1 42\nUdp: InDatagrams\nUdp: 7\n")
	if err != nil || len(c) != 3 || c["TcpMaxConn"] != -1 || c["TcpRetransSegs"] != 42 || c["UdpInDatagrams"] != 7 {
		t.Errorf("got %v, %v", c, err)
	}
	for _, bad := range []string{"", "Tcp: A\n", "Tcp: A B\nTcp: 1\n", "Tcp: A\nUdp: 1\n", "Tcp: A\nTcp: x\n"} {
		if c, err := parseSNMP(bad); err == nil {
			t.Errorf("%q: no error but %v", bad, c)
		}
	}
}

// The test binary itself stands in for the exporter: it serves two families on the default port.
func TestExporterLifecycle(t *testing.T) {
	l := New(t)
	self := standIn(t)

	e := l.A.StartExporter(t, self, "polite")
	m := e.Scrape(t)
	if m["capture_packets_processed_total"] != 3 {
		t.Errorf("scrape %v, want 3 packets", m)
	}
	if m := e.Settle(t); m["capture_packets_processed_total"] != 3 {
		t.Errorf("settled at %v, want 3 packets", m)
	}
	e.Await(t, time.Second, func(m Metrics) error {
		if len(m) != 1 {
			return fmt.Errorf("%d series, want 1", len(m))
		}
		return nil
	})
	if resp, body, err := e.Do("GET", "/other"); err != nil || resp.StatusCode != 404 {
		t.Errorf("/other: %v %q %v, want 404", resp, body, err)
	}
	if status, after := e.Stop(t, syscall.SIGTERM); status != 0 || after >= stopTimeout {
		// The race detector alone keeps a process for a second at its end.
		t.Errorf("stopped with status %d after %v, want 0 within %v", status, after, stopTimeout)
	}
	if !e.Ended() || !strings.Contains(e.Output(), "bye") {
		t.Errorf("ended %v, output %q: want true and \"bye\"", e.Ended(), e.Output())
	}

	e = l.A.StartExporter(t, self, "failing") // the port is free again
	if status, _ := e.Stop(t, syscall.SIGINT); status != 3 {
		t.Errorf("status %d, want the 3 that the process exits with", status)
	}
}

func standIn(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "standin")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}
