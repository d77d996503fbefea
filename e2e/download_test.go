package e2e

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const (
	uploadBytes   = 1_500_000
	downloadBytes = 24_000_000

	streamAge    = 8 * time.Second // so much longer that the two cannot be mistaken
	finalizedAge = 2 * time.Second
	// agesLate is how long after its age a stream may linger: a tick of the wheel, a wait of
	// the worker, a scrape, a slow machine.
	agesLate = 2500 * time.Millisecond
)

// ages are the flags of every exporter here.
var ages = []string{"-stream-age", streamAge.String(), "-finalized-age", finalizedAge.String()}

// download is one HTTP upload and download over a kept-alive connection, beside the exporter.
type download struct {
	s        *server
	c        *client
	exporter *lab.Exporter
	server   *lab.NS // its retransmission counter goes with the data direction
	data     lab.Flow
	loss     bool // packets of the data direction are dropped behind the capture point

	retransBefore int64
}

func TestDownloadVeth(t *testing.T) {
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("offloads=%v", on), func(t *testing.T) {
			l := lab.New(t)
			l.Offloads(t, on)
			d := &download{s: serve(t, l.A, l.A.Addr), c: newClient(t, l.B), server: l.A}
			d.exporter = l.A.StartExporter(t, binary(t), append(ages, "-interface", lab.IfName)...)
			d.test(t)
		})
	}
}

// One packet in 200 of the download is lost behind the exporter, so the server has to send again.
func TestDownloadVethWithLoss(t *testing.T) {
	need.Tool(t, "nft")
	l := lab.New(t)
	l.Offloads(t, false)
	l.B.Run(t, "nft", "add table ip loss; "+
		"add chain ip loss in { type filter hook input priority 0; }; "+
		"add rule ip loss in tcp sport 8080 ip length > 1000 numgen random mod 200 < 1 drop")
	d := &download{s: serve(t, l.A, l.A.Addr), c: newClient(t, l.B), server: l.A, loss: true}
	d.exporter = l.A.StartExporter(t, binary(t), append(ages, "-interface", lab.IfName)...)
	d.test(t)
}

// A packet socket sees each packet on lo twice; it must be counted once. Scrapes travel over lo
// too and are left out.
func TestDownloadLo(t *testing.T) {
	for _, workers := range []string{"1", "2"} {
		t.Run("workers="+workers, func(t *testing.T) {
			l := lab.New(t)
			d := &download{s: serve(t, l.A, netip.MustParseAddr("127.0.0.1")), c: newClient(t, l.A), server: l.A}
			d.exporter = l.A.StartExporter(t, binary(t),
				append(ages, "-interface", "lo", "-packet-filter", "tcp port 8080", "-workers", workers)...)
			d.test(t)
		})
	}
}

func (d *download) test(t *testing.T) {
	t.Helper()
	d.exporter.KeepScraping(100 * time.Millisecond)
	d.retransBefore = d.server.Counters(t)["TcpRetransSegs"]
	if err := d.c.exchange(d.s, uploadBytes, downloadBytes); err != nil {
		t.Fatal(err)
	}
	_, d.data = d.s.with(t, d.c)
	d.whileOpen(t)
	d.afterClose(t)
}

func (d *download) whileOpen(t *testing.T) {
	t.Helper()
	m := d.exporter.Settle(t)
	for _, f := range []lab.Flow{d.data, d.data.Reverse()} {
		if err := missing(m, f, "active", always, withDelay, withPackets); err != nil {
			t.Error(err)
		}
	}
	if got := m["tcp_stream_count"]; got != 2 {
		t.Errorf("tcp_stream_count while the connection is open: %v, want 2", got)
	}
	if got := m["capture_dropped_packets_total"]; got != 0 {
		t.Fatalf("capture_dropped_packets_total: %v, want 0", got)
	}
	checkBytes(t, m, d.s, d.c)
	d.checkRetransmits(t, m)
	checkDelays(t, m, d.data)

	// The bitrate families need a complete second; the connection is idle and still active.
	d.exporter.Await(t, 2*time.Second, func(m lab.Metrics) error {
		return missing(m, d.data, "active", always, withDelay, withPackets, withBitrate)
	})
}

// checkBytes wants the payload bytes of the open connection in both directions, exactly: what the
// server counts, and what the kernel says it had to send again.
func checkBytes(t *testing.T, m lab.Metrics, s *server, c *client) {
	t.Helper()
	conn, _ := s.with(t, c)
	if conn.written.Load() < downloadBytes || conn.read.Load() < uploadBytes {
		t.Fatalf("the server counts %d bytes written, %d read: less than was exchanged", conn.written.Load(), conn.read.Load())
	}
	sameBytes(t, m, s, c)
}

// sameBytes wants the payload bytes of the open connection, however many, in both directions.
func sameBytes(t *testing.T, m lab.Metrics, s *server, c *client) {
	t.Helper()
	conn, data := s.with(t, c)
	check := func(f lab.Flow, sent, again int64) {
		if err := is(m, f, "active", "tcp_bytes_transferred_total", float64(sent+again)); err != nil {
			t.Errorf("%v: the server's count is %d bytes, and %d bytes were sent again", err, sent, again)
		}
	}
	check(data, conn.written.Load(), repeated(t, conn.TCPConn))
	check(data.Reverse(), conn.read.Load(), repeated(t, c.current()))
}

// checkRetransmits compares with the kernel's counter within 2. On a lossless line a figure of its
// own cannot hide as another; with loss, a hole that is filled within a handshake's round trip
// (here some ten microseconds) looks reordered to any observer, so the two kinds are added up.
func (d *download) checkRetransmits(t *testing.T, m lab.Metrics) {
	t.Helper()
	kernel := d.server.Counters(t)["TcpRetransSegs"] - d.retransBefore
	seen := m[d.data.Key("tcp_retransmits_total", "active")]
	late := m[d.data.Key("tcp_out_of_order_packets_total", "active")]
	if d.loss {
		if kernel < 10 {
			t.Fatalf("TcpRetransSegs grew by %d: too little loss for this test, want 10 at least", kernel)
		}
		if seen < late {
			t.Errorf("tcp_retransmits_total %v, tcp_out_of_order_packets_total %v: want mostly retransmissions", seen, late)
		}
		seen += late
	} else if late != 0 {
		t.Errorf("tcp_out_of_order_packets_total %v on a line that keeps order, want 0", late)
	}
	if math.Abs(seen-float64(kernel)) > 2 {
		t.Errorf("%v repeated segments seen, TcpRetransSegs grew by %d: want equal within 2", seen, kernel)
	}
	if gaps := m[d.data.Key("tcp_sequence_gaps_total", "active")]; gaps != 0 {
		t.Errorf("tcp_sequence_gaps_total %v beside the sender, want 0", gaps)
	}
}

// checkDelays wants round-trip times that can be true: in order, above zero, below a second.
func checkDelays(t *testing.T, m lab.Metrics, f lab.Flow) {
	t.Helper()
	v := func(name string) float64 { return m[f.Key(name, "active")] }
	lowest, mean, highest := v("tcp_min_delay_seconds"), v("tcp_avg_delay_seconds"), v("tcp_max_delay_seconds")
	// The mean is of recent samples in single precision, the others of all: allow its rounding.
	const rounding = 1e-6
	if !(lowest > 0 && lowest <= mean*(1+rounding) && mean <= highest*(1+rounding) && highest < 1) {
		t.Errorf("delays of %v: min %v, mean %v, max %v s: want 0 < min <= mean <= max < 1", f, lowest, mean, highest)
	}
	if j := v("tcp_jitter_seconds"); !(j >= 0 && j <= highest-lowest) {
		t.Errorf("jitter of %v: %v s, want 0 to max-min = %v", f, j, highest-lowest)
	}
}

// afterClose closes the connection and follows both streams to their end.
func (d *download) afterClose(t *testing.T) {
	t.Helper()
	both := func(check func(lab.Flow) error) error {
		return errors.Join(check(d.data), check(d.data.Reverse()))
	}
	d.c.CloseIdleConnections()
	closed := time.Now()
	m := d.exporter.Await(t, finalizedAge/2, func(m lab.Metrics) error {
		return both(func(f lab.Flow) error { return missing(m, f, "finalized", always) })
	})
	if got := m["tcp_stream_count"]; got != 0 {
		t.Errorf("tcp_stream_count after the close: %v, want 0", got)
	}
	// Still there shortly before the age, gone soon after it.
	time.Sleep(time.Until(closed.Add(finalizedAge * 8 / 10)))
	m = d.exporter.Scrape(t)
	if since := time.Since(closed); since < finalizedAge {
		if err := both(func(f lab.Flow) error { return missing(m, f, "finalized", always) }); err != nil {
			t.Errorf("%v after the close, -finalized-age %v: %v", since, finalizedAge, err)
		}
	}
	d.exporter.Await(t, time.Until(closed.Add(finalizedAge+agesLate)), func(m lab.Metrics) error {
		return both(func(f lab.Flow) error { return gone(m, f) })
	})
}

// A stream that falls silent without an end leaves after -stream-age; it is never finalized.
func TestIdleStreamAges(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	const age = 2 * time.Second
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-max-age", age.String())
	if err := c.exchange(s, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	silent := time.Now()
	_, f := s.with(t, c)
	e.Await(t, age/2, func(m lab.Metrics) error { return missing(m, f, "active", always) })
	m := e.Await(t, time.Until(silent.Add(age+agesLate)), func(m lab.Metrics) error {
		if n := len(m.Of(f, "finalized")); n != 0 {
			t.Fatalf("%v became finalized without FIN or RST", f)
		}
		return errors.Join(gone(m, f), gone(m, f.Reverse()))
	})
	if early := age - time.Since(silent); early > 0 {
		t.Errorf("%v left %v before its age", f, early)
	}
	if got := m["tcp_stream_count"]; got != 0 {
		t.Errorf("tcp_stream_count after the age: %v, want 0", got)
	}
}
