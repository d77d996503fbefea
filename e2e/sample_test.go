package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/parse"
)

// A sample of real connections has both streams of those that package parse selects, and none of the others. What the
// kernel leaves out is no loss.
func TestSampleLive(t *testing.T) {
	t.Parallel()
	const n, oneIn, port = 200, 4, 8080
	l := lab.New(t)
	ln, err := l.A.Listen("tcp4", netip.AddrPortFrom(l.A.Addr, port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-sample", strconv.Itoa(oneIn))
	streams := map[string]bool{} // keys of a family's series, and whether they are in the sample
	selected := 0
	ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	for range n {
		c, err := l.B.Dial(ctx, "tcp4", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		f := lab.Flow{Src: netip.MustParseAddrPort(c.LocalAddr().String()), Dst: netip.MustParseAddrPort(c.RemoteAddr().String())}
		flow := parse.FlowOf(parse.AddrFrom(f.Src.Addr()), parse.AddrFrom(f.Dst.Addr()), f.Src.Port(), f.Dst.Port())
		in := parse.OneIn(oneIn).Selects(&flow)
		if in {
			selected++
		}
		for _, f := range []lab.Flow{f, f.Reverse()} {
			streams[f.Key("tcp_bytes_transferred_total", "active")] = in
		}
	}
	if selected == 0 || selected == n {
		t.Fatalf("%d of %d connections are in the sample", selected, n)
	}
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if got := m["tcp_stream_count"]; got != float64(2*selected) {
			return fmt.Errorf("%v streams, want %d", got, 2*selected)
		}
		for key, in := range streams {
			if _, ok := m[key]; ok != in {
				return fmt.Errorf("%s is there: %v, want %v", key, ok, in)
			}
		}
		return nil
	})
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		for name, want := range map[string]float64{
			"tcp_stream_exporter_sample_ratio": 1.0 / oneIn, complete: 1, "capture_dropped_packets_total": 0,
			lab.Key("tcp_stream_exporter_skipped_packets_total", "reason", "unselected"): 0,
		} {
			if m[name] != want {
				return fmt.Errorf("%s is %v, want %v", name, m[name], want)
			}
		}
		return nil
	})
}
