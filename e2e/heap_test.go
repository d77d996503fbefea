package e2e

import (
	"encoding/csv"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	heapPackets     = 1_000_000
	heapRate        = 200_000 // packets a second
	heapConnections = 500
	scrapeEvery     = 2 * time.Second

	// Allocations that the loaded phase may have beyond the idle one: one for 200 packets. The
	// runtime counts small objects when the span that they are in is full, so either figure may be
	// some thousands off.
	spareMallocs = heapPackets / 200
	// Growth of the heap that is none of the packets': scrapes of more streams, and garbage, kept
	// low with gcPercent. Half a byte of each packet would be as much.
	heapSpare = 1 << 20
	gcPercent = "GOGC=2"
)

// The exporter allocates nothing for a packet and keeps nothing of it: while a million packets
// pass, it allocates as much as in the same time with the same scrapes and no packet.
func TestHeapFlat(t *testing.T) {
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, "env", gcPercent, binary(t), "-interface", lab.IfName, "-go-metrics")

	// Everything that is made once is made here: other streams, as many.
	const packets, dropped = "capture_packets_processed_total", "capture_dropped_packets_total"
	first := generate(t, l.B, tcpgen, "-seed", "1", "-packets", "20000").wait(t)
	start := e.Await(t, 3*time.Second, func(m lab.Metrics) error {
		if m[packets] != first {
			return fmt.Errorf("%s is %v, want the %v that were sent", packets, m[packets], first)
		}
		return nil
	})
	gen := generate(t, l.B, tcpgen, "-seed", "2", "-packets", strconv.Itoa(heapPackets))
	scrapes := 0
	for ; scrapes == 0 || !gen.ended(); scrapes++ {
		time.Sleep(scrapeEvery)
		e.Scrape(t)
	}
	loaded := e.Scrape(t)
	for range scrapes {
		time.Sleep(scrapeEvery)
		e.Scrape(t)
	}
	idle := e.Scrape(t)

	const mallocs, inuse = "go_memstats_mallocs_total", "go_memstats_heap_inuse_bytes"
	sent := gen.wait(t)
	if sent < heapPackets {
		t.Fatalf("the generator sent %v packets, want %d", sent, heapPackets)
	}
	if idle[dropped] != 0 {
		t.Fatalf("%s: %v, want 0", dropped, idle[dropped])
	}
	if got := idle[packets] - start[packets]; got != sent {
		t.Errorf("%s grew by %v, want the %v that were sent", packets, got, sent)
	}
	withLoad, without := loaded[mallocs]-start[mallocs], idle[mallocs]-loaded[mallocs]
	t.Logf("%v packets, %d scrapes a phase: %v allocations with load, %v without; heap in use %v, %v, %v bytes",
		sent, scrapes+1, withLoad, without, start[inuse], loaded[inuse], idle[inuse])
	if without == 0 {
		t.Fatalf("%s does not move: is it exported?", mallocs)
	}
	if withLoad-without > spareMallocs {
		t.Errorf("%v allocations while %v packets passed, %v in the same time without: want at most %d more",
			withLoad, sent, without, spareMallocs)
	}
	for phase, m := range map[string]lab.Metrics{"load": loaded, "idling": idle} {
		if grown := m[inuse] - start[inuse]; grown > heapSpare {
			t.Errorf("%s grew by %v to %v after %s, want at most %d", inuse, grown, m[inuse], phase, heapSpare)
		}
	}
	gen.checkStreams(t, loaded)
}

// generator is a running traffic generator.
type generator struct {
	cmd         *exec.Cmd
	done        <-chan struct{}
	out         string // path of what it prints
	streams     string // path of its table of streams
	connections int
}

// buildGenerator builds the module's traffic generator, which is a module of its own, for the first
// test that asks, and returns its path.
func buildGenerator(t *testing.T) string {
	t.Helper()
	path, err := generatorPath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var generatorPath = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "tcpgen")
	if out, err := exec.Command("go", "build", "-C", "../bench", "-o", path, "./cmd/tcpgen").CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the traffic generator: %w\n%s", err, out)
	}
	return path, nil
})

// generate starts the generator on the namespace's end of the veth.
func generate(t *testing.T, ns *lab.NS, tcpgen string, args ...string) *generator {
	t.Helper()
	return generateConnections(t, ns, tcpgen, heapConnections, heapRate, args...)
}

// generateConnections starts it with so many connections and packets a second.
func generateConnections(t *testing.T, ns *lab.NS, tcpgen string, connections, rate int, args ...string) *generator {
	t.Helper()
	dir := t.TempDir()
	g := &generator{out: filepath.Join(dir, "out"), streams: filepath.Join(dir, "streams.tsv"), connections: connections}
	out, err := os.Create(g.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	g.cmd = ns.Command(tcpgen, append([]string{"-i", lab.IfName, "-connections", strconv.Itoa(connections),
		"-payload", "1400", "-rate", strconv.Itoa(rate), "-duration", "30s", "-per-stream", g.streams}, args...)...)
	g.cmd.Stdout, g.cmd.Stderr = out, out
	if g.done, err = lab.Start(g.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !g.ended() {
			g.cmd.Process.Kill()
		}
		<-g.done
	})
	return g
}

func (g *generator) ended() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

var packetsSent = regexp.MustCompile(`\bpackets=(\d+)`)

// wait waits for the generator's end and returns how many packets it sent.
func (g *generator) wait(t *testing.T) float64 {
	t.Helper()
	<-g.done // its -duration bounds it
	out, err := os.ReadFile(g.out)
	if err != nil {
		t.Fatal(err)
	}
	sent := packetsSent.FindSubmatch(out)
	if !g.cmd.ProcessState.Success() || sent == nil {
		t.Fatalf("generator: %v\n%s", g.cmd.ProcessState, out)
	}
	n, err := strconv.ParseFloat(string(sent[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkStreams wants every stream of the generator with exactly the packets and payload bytes that
// it says it sent. Packets are not exported, but rate and uptime are, of the same moment.
func (g *generator) checkStreams(t *testing.T, m lab.Metrics) {
	t.Helper()
	rows := g.rows(t)
	if len(rows) != 2*g.connections {
		t.Fatalf("the generator sent %d streams, want %d", len(rows), 2*g.connections)
	}
	wrong := 0
	for _, r := range rows {
		v := func(family string) float64 { return m[r.flow.Key(family, "active")] }
		packets := math.Round(v("tcp_packet_rate_pps") * v("tcp_stream_uptime_seconds"))
		if packets == r.packets && v("tcp_bytes_transferred_total") == r.bytes &&
			v("tcp_retransmits_total")+v("tcp_sequence_gaps_total")+v("tcp_out_of_order_packets_total") == 0 {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("%v: %v packets, %v bytes, %v repeated, %v gaps, %v late; want %v packets, %v bytes and nothing else",
				r.flow, packets, v("tcp_bytes_transferred_total"), v("tcp_retransmits_total"),
				v("tcp_sequence_gaps_total"), v("tcp_out_of_order_packets_total"), r.packets, r.bytes)
		}
	}
	if wrong > 5 {
		t.Errorf("%d of %d streams are wrong", wrong, len(rows))
	}
}

// sentStream is a line of the generator's table.
type sentStream struct {
	flow           lab.Flow
	packets, bytes float64
	forged         float64 // in its name, on top
}

func (g *generator) rows(t *testing.T) []sentStream {
	t.Helper()
	f, err := os.Open(g.streams)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = '\t'
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		t.Fatalf("%s is empty", g.streams)
	}
	column := make(map[string]int)
	for i, name := range lines[0] {
		column[name] = i
	}
	for _, name := range []string{"src", "sport", "dst", "dport", "packets", "payload_bytes", "forged"} {
		if _, ok := column[name]; !ok {
			t.Fatalf("%s has no column %s but %q", g.streams, name, lines[0])
		}
	}
	var rows []sentStream
	for _, line := range lines[1:] {
		at := func(name string) string { return line[column[name]] }
		src, err1 := netip.ParseAddrPort(at("src") + ":" + at("sport"))
		dst, err2 := netip.ParseAddrPort(at("dst") + ":" + at("dport"))
		packets, err3 := strconv.ParseFloat(at("packets"), 64)
		bytes, err4 := strconv.ParseFloat(at("payload_bytes"), 64)
		forged, err5 := strconv.ParseFloat(at("forged"), 64)
		for _, err := range []error{err1, err2, err3, err4, err5} {
			if err != nil {
				t.Fatalf("%s: %q: %v", g.streams, line, err)
			}
		}
		rows = append(rows, sentStream{lab.Flow{Src: src, Dst: dst}, packets, bytes, forged})
	}
	return rows
}
