package e2e

import (
	"flag"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
)

const (
	tunsAtATime = 50
	tunSegments = 40
	tunPayload  = 500     // bytes
	steadyRate  = 100_000 // packets a second, for as long as the tuns take
	// captured is how long after it is there what an interface carries must all be counted.
	captured = time.Second
	// settled is how long before its end: the kernel drops what waits in its queues from an interface that goes.
	settled = 200 * time.Millisecond
	// moreMemory is what may come with the second half of them, in bytes: each leaves some streams, of 288 bytes, and the
	// last scrapes show them all. In the first half Go's heap grows until it is collected for the first time.
	moreMemory = 8 << 20
)

// manyTuns is how many there are in all.
var manyTuns = flag.Int("tuns", 50, "tun interfaces that TestTunsThatComeAndGo makes, a multiple of 50")

// Interfaces come, are used, renamed and deleted by the hundred under a pattern, beside one that carries a steady load.
// What each carries from a second after it is there is counted to the byte, under the name that it bore, and of the
// steady load every packet. Neither memory nor descriptors grow with them.
func TestTunsThatComeAndGo(t *testing.T) {
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", "tun*,"+lab.IfName+",!tun_out*", "-metrics", "default,tcp_packets_total", "-go-metrics")
	steadyPackets := *manyTuns * steadyRate / 10
	files := descriptors(t, e.PID())
	gen := generateConnections(t, l.B, buildGenerator(t), 500, steadyRate, "-packets", strconv.Itoa(steadyPackets),
		"-duration", (time.Duration(*manyTuns) * 200 * time.Millisecond).String())

	segment := func(n int, port uint16) packet.TCP {
		from := netip.AddrFrom4([4]byte{10, 77, byte(n >> 8), byte(n)})
		return packet.TCP{
			Src: netip.AddrPortFrom(from, port), Dst: netip.MustParseAddrPort("192.0.2.1:80"), Seq: 1, Ack: 1, Flags: packet.ACK, Window: 1000, Payload: tunPayload,
		}
	}
	send := func(fd int, s packet.TCP) {
		for range tunSegments {
			if _, err := unix.Write(fd, s.IP()); err != nil {
				t.Fatal(err)
			}
			s.Seq += tunPayload
		}
	}
	memoryBefore := int64(0)
	for first := 0; first < *manyTuns; first += tunsAtATime {
		if memoryBefore == 0 && first > 0 && 2*first >= *manyTuns {
			memoryBefore = resident(t, e.PID())
		}
		fds := map[int]int{}
		for n := first; n < first+tunsAtATime; n++ {
			name := fmt.Sprintf("tun%d", n)
			if n%10 == 9 {
				name = fmt.Sprintf("tun_out%d", n)
			}
			fds[n] = tun(t, l.A, name)
		}
		time.Sleep(captured)
		var batch strings.Builder
		for n, fd := range fds {
			send(fd, segment(n, 1000))
			if n%2 == 0 {
				fmt.Fprintf(&batch, "link set tun%d down\nlink set tun%d name tunnel%d\nlink set tunnel%d up\n", n, n, n, n)
			}
		}
		ipBatch(t, l.A, batch.String())
		time.Sleep(captured)
		var open []int
		for n, fd := range fds {
			send(fd, segment(n, 2000))
			open = append(open, fd)
		}
		time.Sleep(settled)
		for _, fd := range open {
			unix.Close(fd) // and the interface is gone
		}
	}
	sent := gen.wait(t)
	m := e.Settle(t)

	wrong := 0
	check := func(n int, name string, port uint16, want float64) {
		s := segment(n, port)
		f := lab.Flow{Src: s.Src, Dst: s.Dst}
		if got := m.On(name)[f.Key("tcp_bytes_transferred_total", "active")]; got != want {
			if wrong++; wrong <= 10 {
				t.Errorf("%s, port %d: %v bytes, want %v", name, port, got, want)
			}
		}
	}
	for n := range *manyTuns {
		first, second, want := fmt.Sprintf("tun%d", n), fmt.Sprintf("tun%d", n), float64(tunSegments*tunPayload)
		switch {
		case n%10 == 9:
			first, second, want = fmt.Sprintf("tun_out%d", n), fmt.Sprintf("tun_out%d", n), 0
		case n%2 == 0:
			second = fmt.Sprintf("tunnel%d", n)
		}
		check(n, first, 1000, want)
		check(n, second, 2000, want)
	}
	if wrong > 10 {
		t.Errorf("%d figures are wrong", wrong)
	}
	steady := 0.0
	for key, packets := range m.On(lab.IfName) {
		if strings.HasPrefix(key, "tcp_packets_total{") {
			steady += packets
		}
	}
	if steady != sent || sent < float64(steadyPackets) {
		t.Errorf("%v packets of the steady load are counted, %v were sent", steady, sent)
	}
	nothingDropped(t, m)
	if now := descriptors(t, e.PID()); now > files+2 {
		t.Errorf("%d descriptors, %d at the start", now, files)
	}
	if grown := resident(t, e.PID()) - memoryBefore; memoryBefore != 0 && grown > moreMemory {
		t.Errorf("%d bytes more are resident than after half of the interfaces", grown)
	}
	if got := m["go_goroutines"]; got > 40 {
		t.Errorf("%v goroutines", got)
	}
}

// ipBatch runs lines of ip(8) in the namespace.
func ipBatch(t *testing.T, ns *lab.NS, lines string) {
	t.Helper()
	cmd := ns.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v: %s", err, out)
	}
}
