package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	reorderBytes = 6_000_000
	reorderEvery = 20 // data frames
	// reorderDelay of the path, either way: the handshake takes twice as long, an overtaken frame
	// comes some microseconds late.
	reorderDelay = 5 * time.Millisecond
)

// Each of some data frames is overtaken by one other in the path; the exporter is beside the
// receiver, behind that place. Overtaken by more, frames come to a receiver that has asked for them
// with several duplicate ACKs already: at this very place, that is what a fast retransmission looks
// like, to tshark as well.
func TestReordering(t *testing.T) {
	l := lab.NewLine(t)
	l.Offloads(t, false)
	var overtaken atomic.Int64
	l.Pipe(t, lab.Pipe{Delay: reorderDelay, Behind: everyNth(reorderEvery, &overtaken)})
	e := l.B.StartExporter(t, binary(t), "-interface", lab.IfName)
	recording := l.B.Record(t)

	before := l.A.Counters(t)["TcpRetransSegs"]
	data := sendBytes(t, l.A, l.B, reorderBytes)
	m := e.Settle(t)
	sentAgain := l.A.Counters(t)["TcpRetransSegs"] - before
	yardstick := tsharkTable(t, recording.Stop(t), data)[direction(data)]

	late, again := of(t, m, data, "tcp_out_of_order_packets_total"), of(t, m, data, "tcp_retransmits_total")
	t.Logf("overtaken in the path %d, sent again %d; out of order %v (tshark %d), retransmissions %v (tshark %d)",
		overtaken.Load(), sentAgain, late, yardstick.OutOfOrder, again, yardstick.Retransmissions)
	if overtaken.Load() < 50 {
		t.Fatalf("%d frames were overtaken: too few for this test, want 50 at least", overtaken.Load())
	}
	within(t, "tcp_out_of_order_packets_total against tshark", late, float64(yardstick.OutOfOrder), 0.05)
	within(t, "tcp_out_of_order_packets_total against the path", late, float64(overtaken.Load()), 0.05)
	// What the sender took for lost is a retransmission, and next to nothing else is.
	if limit := float64(sentAgain) + 0.05*float64(overtaken.Load()); again > limit {
		t.Errorf("tcp_retransmits_total: %v, want at most %v: %d segments were sent again, %d overtaken",
			again, limit, sentAgain, overtaken.Load())
	}
	if got := m["capture_dropped_packets_total"]; got != 0 {
		t.Errorf("capture_dropped_packets_total: %v, want 0", got)
	}
}

// everyNth lets the next frame overtake each nth one that is full of data.
func everyNth(n int, count *atomic.Int64) func([]byte) int {
	seen := 0
	return func(frame []byte) int {
		if len(frame) < 1000 {
			return 0
		}
		if seen++; seen%n != 0 {
			return 0
		}
		count.Add(1)
		return 1
	}
}

// sendBytes sends n bytes from a to b over one connection, until b has read the last, and returns
// the direction of the data.
func sendBytes(t *testing.T, a, b *lab.NS, n int) lab.Flow {
	t.Helper()
	ln, err := b.Listen("tcp4", net.JoinHostPort(b.Addr.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	read := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			c.SetDeadline(time.Now().Add(httpTimeout))
			var got int64
			if got, err = io.Copy(io.Discard, c); err == nil && got != int64(n) {
				err = fmt.Errorf("%d bytes arrived, want %d", got, n)
			}
		}
		read <- err
	}()
	c, err := a.Dial(context.Background(), "tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(httpTimeout))
	f := lab.Flow{Src: addrPort(c.LocalAddr()), Dst: addrPort(c.RemoteAddr())}
	_, err = io.CopyN(c, zeros{}, int64(n))
	c.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	return f
}
