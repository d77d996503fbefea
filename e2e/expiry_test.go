package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// expiryLong has the tests of expiry take their long forms: go test ./e2e -run Expiry -args -expiry
var expiryLong = flag.Bool("expiry", false, "the long forms of the tests of expiry: half a million streams live, five million from a file")

// expiry holds the parameters of TestExpiry.
type expiry struct {
	streams int           // that come at once, show one packet and are never heard of again
	room    int           // connections, of the table
	age     time.Duration // of a stream, after which it goes
	before  time.Duration // from the start of the other traffic to their coming
	length  time.Duration // of the other traffic
	rate    int           // packets of it a second
	scrape  time.Duration // from one scrape's start to the next one's
	memory  int64         // bytes, resident at most, the ring left out
	turn    time.Duration // processor time between two looks at the ring, at most
}

var (
	expiryLongForm = expiry{
		streams: 500_000, room: 600_000, age: 10 * time.Second,
		before: time.Second, length: 26 * time.Second, rate: 150_000, scrape: 2 * time.Second,
		memory: 390e6, turn: time.Millisecond,
	}
	// The short form's machine may be busy with anything, and slow to clear memory; a turn that copies
	// or lets go all streams while others wait for the processor shows all the same.
	expiryShortForm = expiry{
		streams: 60_000, room: 72_000, age: 4 * time.Second,
		before: 500 * time.Millisecond, length: 6 * time.Second, rate: 50_000, scrape: 500 * time.Millisecond,
		memory: 115e6, turn: 100 * time.Millisecond,
	}
)

const (
	expiryConnections = 1000    // of the other traffic
	expiryOpenRate    = 250_000 // streams that come in a second
	// The ring is the default one; all of it counts as resident memory.
	expiryBlockSize, expiryBlocks = 262_144, 128
)

// Half a million streams that come in two seconds go again when their time has come, while other
// traffic and scrapes go on: nothing is dropped, the memory is that of the streams, the ring is
// visited all the time, and the figures of the other traffic are exact.
//
// The worker has the last CPU, and the kernel hands over the lab's packets on the first one: what it
// does there would count as processor time of whoever runs there.
func TestExpiry(t *testing.T) {
	form := expiryShortForm
	if *expiryLong {
		form = expiryLongForm
	}
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-cpus", strconv.Itoa(lastCPU(t)),
		"-blocksize", strconv.Itoa(expiryBlockSize), "-numblocks", strconv.Itoa(expiryBlocks),
		"-max-connections", strconv.Itoa(form.room), "-stream-age", form.age.String(), "-finalized-age", (form.age / 2).String())
	begin := time.Now()
	other := generateConnections(t, l.B, tcpgen, expiryConnections, form.rate,
		"-seed", "1", "-midstream", "-payload", "100", "-duration", form.length.String())
	time.Sleep(form.before)
	crowd := generateConnections(t, l.B, tcpgen, form.streams, expiryOpenRate,
		"-seed", "2", "-midstream", "-payload", "100", "-one-way", "-packets", strconv.Itoa(form.streams), "-per-stream", "")
	all := float64(form.streams + 2*expiryConnections)
	most, size, scrapes := 0.0, int64(0), 0
	for next := form.before + form.scrape/2; ; next += form.scrape {
		select {
		case <-other.done:
		case <-time.After(time.Until(begin.Add(next))):
			n, bytes := countStreams(t, e)
			most, size, scrapes = max(most, n), max(size, bytes), scrapes+1
			continue
		}
		break
	}
	sent, came := other.wait(t), crowd.wait(t)
	const packets, closed = "capture_packets_processed_total", "tcp_stream_exporter_streams_closed_total"
	const gone = closed + `{reason="timeout"}`
	// Packet totals are up to a second old, and form.age after the last packet the other streams go too:
	// what is left of it is for the scrape after this one.
	e.Await(t, form.age/2, func(m lab.Metrics) error {
		if m[packets] != sent+came {
			return fmt.Errorf("%s is %v, want the %v packets that were sent", packets, m[packets], sent+came)
		}
		if m[gone] != float64(form.streams) {
			return fmt.Errorf("%s is %v, want all of the %d that came at once", gone, m[gone], form.streams)
		}
		return nil
	}, packets, closed)
	m := e.Scrape(t) // the totals are younger than the streams, whose copying takes a while
	nothingDropped(t, m)
	other.checkStreams(t, m)
	if most != all {
		t.Errorf("no scrape showed more than %v streams, want one that shows all %v", most, all)
	}
	for name, want := range map[string]float64{
		"tcp_stream_exporter_connections":                                   expiryConnections,
		"tcp_stream_exporter_streams_opened_total":                          all,
		`tcp_stream_exporter_connections_recycled_total{state="half_open"}`: 0,
		`tcp_stream_exporter_connections_recycled_total{state="finalized"}`: 0,
	} {
		if v, ok := m[name]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
		}
	}
	resident := peak(t, e.PID()) - expiryBlockSize*expiryBlocks
	if resident > form.memory {
		t.Errorf("%d bytes were resident besides the ring, want at most %d", resident, form.memory)
	}
	own := func(name string) time.Duration {
		v, ok := m["tcp_stream_exporter_"+name]
		if !ok {
			t.Errorf("tcp_stream_exporter_%s is missing", name)
		}
		return time.Duration(v * float64(time.Second)).Round(time.Microsecond)
	}
	turn := own("max_turn_cpu_seconds")
	if turn > form.turn {
		t.Errorf("%v of processor time went between two looks at the ring, want at most %v", turn, form.turn)
	}
	t.Logf("%v streams came in %v s and went after %v; %v packets of %d connections beside them in %v; %d scrapes, the longest of %.0f MB",
		came, crowd.seconds(t), form.age, sent, expiryConnections, form.length, scrapes, float64(size)/1e6)
	t.Logf("nothing dropped; resident memory at most %.1f MB besides the ring", float64(resident)/1e6)
	t.Logf("between two looks at the ring at most %v of processor time, %v by the wall clock", turn, own("max_turn_seconds"))
	t.Logf("packets waited %v in the ring at most, streams went %v late at most", own("max_packet_wait_seconds"), own("max_expiry_lag_seconds"))
}

// lastCPU returns the highest CPU that this process may run on.
func lastCPU(t *testing.T) (last int) {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			last = cpu
		}
	}
	return last
}

var streamCount = regexp.MustCompile(`(?m)^tcp_stream_count (\S+)$`)

// countStreams scrapes, reads everything, and returns tcp_stream_count and how many bytes it was:
// an answer of half a million streams is too long to be parsed beside the traffic.
func countStreams(t *testing.T, e *lab.Exporter) (streams float64, size int64) {
	t.Helper()
	resp, err := e.Open(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil {
		size, err = io.Copy(io.Discard, resp.Body)
	}
	count := streamCount.FindSubmatch(head)
	if err == nil && count == nil {
		err = errors.New("no tcp_stream_count at the beginning")
	}
	if err == nil {
		streams, err = strconv.ParseFloat(string(count[1]), 64)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a scrape: %s, %d bytes, %v", resp.Status, int64(len(head))+size, err)
	}
	return streams, int64(len(head)) + size
}

var secondsTaken = regexp.MustCompile(`\bseconds=(\S+)`)

// seconds returns how long the generator sent, by its report.
func (g *generator) seconds(t *testing.T) string {
	t.Helper()
	out, err := os.ReadFile(g.out)
	if err != nil {
		t.Fatal(err)
	}
	took := secondsTaken.FindSubmatch(out)
	if took == nil {
		t.Fatalf("the generator does not say how long it took:\n%s", out)
	}
	return string(took[1])
}
