package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

const (
	stalls       = 2
	stallTime    = 2500 * time.Millisecond // the sender probes after 0.2 s, and each time after twice as long
	stallBytes   = 300_000                 // read between two stalls
	stallRcvBuf  = 16 << 10
	stallSendBuf = 64 << 10
)

// A receiver with a small buffer stops reading, reads on, stops again. What both sides send
// meanwhile, probes, their answers and window updates, is neither duplicate ACK nor retransmission.
func TestZeroWindow(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	l.Offloads(t, false)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	e.KeepScraping(100 * time.Millisecond)
	recording := l.A.Record(t)
	before := l.A.Counters(t)["TcpRetransSegs"]
	data := stall(t, l)
	m := e.Settle(t)
	sentAgain := l.A.Counters(t)["TcpRetransSegs"] - before
	table := tsharkTable(t, recording.Stop(t), data)

	if got := of(t, m, data.Reverse(), "tcp_zero_window_events_total"); got < 2*stalls {
		t.Fatalf("tcp_zero_window_events_total of the receiver: %v, want one at each of the %d stalls and probes answered", got, stalls)
	}
	for _, f := range []lab.Flow{data, data.Reverse()} {
		yardstick := table[direction(f)]
		for _, c := range []struct {
			name   string
			tshark uint64
			fewer  bool // than tshark's is right too
		}{
			{"tcp_zero_window_events_total", yardstick.ZeroWindows, false},
			{"tcp_bytes_transferred_total", yardstick.Bytes, false},
			{"tcp_duplicate_acks_total", yardstick.DuplicateACKs, true},
			{"tcp_retransmits_total", yardstick.Retransmissions, true},
			{"tcp_out_of_order_packets_total", yardstick.OutOfOrder, true},
			{"tcp_sequence_gaps_total", yardstick.Gaps, true},
		} {
			got := of(t, m, f, c.name)
			t.Logf("%v %s: %v, tshark %d", f, c.name, got, c.tshark)
			switch want := float64(c.tshark); {
			case c.fewer && got > want:
				t.Errorf("%v %s: %v, want at most tshark's %d", f, c.name, got, c.tshark)
			case !c.fewer && got != want:
				t.Errorf("%v %s: %v, want tshark's %d", f, c.name, got, c.tshark)
			}
		}
	}
	if got := of(t, m, data, "tcp_retransmits_total"); got > float64(sentAgain) {
		t.Errorf("tcp_retransmits_total of the sender: %v, want at most its TcpRetransSegs, %d", got, sentAgain)
	}
	if got := m["capture_dropped_packets_total"]; got != 0 {
		t.Errorf("capture_dropped_packets_total: %v, want 0", got)
	}
}

// stall sends from A to B, which reads with pauses, and returns the direction of the data.
func stall(t *testing.T, l *lab.Lab) lab.Flow {
	t.Helper()
	var ln net.Listener
	err := l.B.Do(func() (err error) {
		lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var set error
			err := raw.Control(func(fd uintptr) {
				set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, stallRcvBuf)
			})
			if err != nil {
				return err
			}
			return set
		}}
		ln, err = lc.Listen(context.Background(), "tcp4", net.JoinHostPort(l.B.Addr.String(), "0"))
		return err
	})
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
			err = readWithPauses(c)
		}
		read <- err
	}()

	c, err := l.A.Dial(context.Background(), "tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := lab.Flow{Src: addrPort(c.LocalAddr()), Dst: addrPort(c.RemoteAddr())}
	c.SetDeadline(time.Now().Add(httpTimeout))
	c.(*net.TCPConn).SetWriteBuffer(stallSendBuf)
	_, err = io.CopyN(c, zeros{}, stalls*stallBytes)
	c.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	return f
}

// readWithPauses reads all that is sent, in parts, each after a pause.
func readWithPauses(c net.Conn) error {
	for i := range stalls {
		time.Sleep(stallTime)
		if n, err := io.CopyN(io.Discard, c, stallBytes); err != nil {
			return fmt.Errorf("part %d: %d bytes arrived, want %d: %w", i+1, n, stallBytes, err)
		}
	}
	_, err := io.Copy(io.Discard, c)
	return err
}
