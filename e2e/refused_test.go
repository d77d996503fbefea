package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const (
	refusedAttempts = 20 // of each kind
	refusedPort     = 7
	refusedLoad     = 200    // connections of the load
	refusedRate     = 20_000 // packets of it a second

	// refusedPatience is for a connect that is not answered: less than a second, when the kernel sends
	// the SYN again (RFC 6298 section 2).
	refusedPatience = 300 * time.Millisecond
	// answerPatience is for one that is refused at once, unless the machine stands still for a moment.
	answerPatience = 900 * time.Millisecond

	handshakeFamily = "tcp_handshake_seconds"
)

// refusedFlags show the handshake's time where there is one.
var refusedFlags = []string{"-interface", lab.IfName, "-metrics", "default,tcp_packets_total,tcp_syns_total,tcp_rtt_samples_total," + handshakeFamily}

// refusal is one way in which kernels refuse a connection.
type refusal struct {
	name      string
	from      func(*lab.Lab) (client, server *lab.NS)
	listening bool
	rule      string // nftables, of the client's or the server's input, with the port for %d
	byServer  bool   // whose input the rule is of
	answers   bool   // the RST answers the SYN+ACK instead of the SYN, and comes from the client
}

func toExporter(l *lab.Lab) (client, server *lab.NS)   { return l.B, l.A }
func fromExporter(l *lab.Lab) (client, server *lab.NS) { return l.A, l.B }

// A connection that is refused has no handshake time, no round-trip time if it is the SYN that is refused, and the
// RST finalizes both of its streams. Kernels refuse with ACK what came without, and without ACK what came with it.
// The load beside them is accounted exactly.
func TestRefused(t *testing.T) { // alone: a RST that a full receive queue of the machine loses has the SYN+ACK sent again
	need.Tool(t, "nft")
	for _, r := range []refusal{
		{name: "closed port", from: toExporter},
		{name: "closed port of the other side", from: fromExporter},
		{name: "SYN rejected by a rule", from: toExporter, listening: true, byServer: true, rule: "tcp dport %d reject with tcp reset"},
		{name: "SYN+ACK rejected by a rule, without ACK", from: toExporter, listening: true, answers: true,
			rule: "tcp sport %d tcp flags & (syn | ack) == syn | ack reject with tcp reset"},
	} {
		t.Run(r.name, func(t *testing.T) { r.test(t) })
	}
}

func (r *refusal) test(t *testing.T) {
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), refusedFlags...)
	e.KeepScraping(100 * time.Millisecond)
	load := generateConnections(t, l.B, buildGenerator(t), refusedLoad, refusedRate, "-duration", "1m")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error { return activeStreams(m, 2*refusedLoad, 2*refusedLoad) })

	client, server := r.from(l)
	if r.listening {
		ln, err := server.Listen("tcp4", netip.AddrPortFrom(server.Addr, refusedPort).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
	}
	if r.rule != "" {
		at := client
		if r.byServer {
			at = server
		}
		at.Run(t, "nft", "add table ip refuse; add chain ip refuse in { type filter hook input priority 0; }; "+
			"add rule ip refuse in "+fmt.Sprintf(r.rule, refusedPort))
	}
	flows := r.connect(t, client, server)

	m := e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		for _, f := range flows {
			if err := errors.Join(missing(m, f, "finalized", always), missing(m, f.Reverse(), "finalized", always)); err != nil {
				return err
			}
		}
		return activeStreams(m, 2*refusedLoad, 2*refusedLoad)
	})
	for _, f := range flows {
		r.check(t, m, f)
	}
	load.cmd.Process.Signal(syscall.SIGTERM)
	load.wait(t)
	m = e.Settle(t)
	nothingDropped(t, m)
	load.checkStreams(t, m)
	e.Await(t, 5*time.Second, func(m lab.Metrics) error { // totals are up to a second old
		got, want := m[lab.Key("tcp_stream_exporter_streams_closed_total", "reason", "rst")], float64(2*len(flows))
		if got != want {
			return fmt.Errorf("%v streams were finalized by a RST, want the %v of the refused connections", got, want)
		}
		return nil
	})
}

// connect tries to connect, each time from a port of its own, and returns the clients' directions.
func (r *refusal) connect(t *testing.T, client, server *lab.NS) (flows []lab.Flow) {
	t.Helper()
	to := netip.AddrPortFrom(server.Addr, refusedPort)
	for i := range refusedAttempts {
		f := lab.Flow{Src: netip.AddrPortFrom(client.Addr, uint16(20_000+i)), Dst: to}
		flows = append(flows, f)
		err := client.Do(func() error {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(f.Src), Timeout: refusedPatience}
			if !r.answers {
				d.Timeout = answerPatience
			}
			c, err := d.DialContext(context.Background(), "tcp4", to.String())
			if err == nil {
				c.Close()
			}
			return err
		})
		// A client whose own rule has refused the SYN+ACK goes on waiting for one.
		if refused := errors.Is(err, syscall.ECONNREFUSED); refused == r.answers || err == nil {
			t.Fatalf("connecting from %v: %v", f.Src, err)
		}
	}
	return flows
}

// check looks at both streams of one attempt.
func (r *refusal) check(t *testing.T, m lab.Metrics, f lab.Flow) {
	t.Helper()
	client, server := m.Of(f, "finalized"), m.Of(f.Reverse(), "finalized")
	want := func(side string, got map[string]float64, name string, v float64) {
		t.Helper()
		if got[name] != v {
			t.Errorf("%v: %s of the %s is %v, want %v", f, name, side, got[name], v)
		}
	}
	for _, families := range []map[string]float64{client, server} {
		if v, there := families[handshakeFamily]; there {
			t.Errorf("%v: %s is %v, want none", f, handshakeFamily, v)
		}
	}
	rtts := 0.0
	if r.answers { // the SYN+ACK has acknowledged the SYN, and the server has sent a SYN of its own
		rtts = 1
	}
	want("client", client, "tcp_rtt_samples_total", rtts)
	want("server", server, "tcp_rtt_samples_total", 0)
	want("client", client, "tcp_syns_total", 1)
	want("server", server, "tcp_syns_total", rtts)
	want("client", client, "tcp_packets_total", 1+rtts)
	want("server", server, "tcp_packets_total", 1)
	want("client", client, "tcp_resets_total", rtts)
	want("server", server, "tcp_resets_total", 1-rtts)
	for side, families := range map[string]map[string]float64{"client": client, "server": server} {
		_, there := families["tcp_avg_delay_seconds"]
		if wanted := side == "client" && rtts != 0; there != wanted {
			t.Errorf("%v: the %s has a delay: %v, want %v", f, side, there, wanted)
		}
		want(side, families, "tcp_retransmits_total", 0)
		want(side, families, "tcp_bytes_transferred_total", 0)
	}
}

// activeStreams wants tcp_stream_count within a range.
func activeStreams(m lab.Metrics, least, most float64) error {
	if n := m["tcp_stream_count"]; n < least || n > most {
		return fmt.Errorf("tcp_stream_count is %v, want %v to %v", n, least, most)
	}
	return nil
}

const (
	refusedFlood     = 100_000 // attempts
	refusedFloodRate = 40_000  // a second
	refusedFloodAge  = 4 * time.Second

	// refusedSpare are attempts that a kernel does not answer: from addresses in the net that it takes for its own, of
	// which there are one or two in so many, and on a busy machine those whose RST it gives up, see countRSTs. Up to
	// 504 of them were seen beside eight endless loops.
	refusedSpare = 2000
)

// A closed port refuses 100,000 attempts from everywhere, while the load goes on: no stream of them stays active,
// all of them go when -finalized-age has passed, and in a table that has no room for them they make room for each
// other. The attempts are the generator's, the RSTs the kernel's.
func TestRefusedFlood(t *testing.T) {
	for _, c := range []struct {
		name string
		room int // connections
	}{
		{"room for all", refusedFlood + refusedLoad + 1000},
		{"room for a tenth", refusedFlood / 10},
	} {
		t.Run(c.name, func(t *testing.T) { refuseFlood(t, c.room) })
	}
}

func refuseFlood(t *testing.T, room int) {
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	answerEverybody(t, l)
	e := l.A.StartExporter(t, binary(t), append(refusedFlags, "-cpus", strconv.Itoa(lastCPU(t)),
		"-max-connections", strconv.Itoa(room), "-finalized-age", refusedFloodAge.String())...)
	load := generateConnections(t, l.B, tcpgen, refusedLoad, refusedRate, "-duration", "1m", "-seed", "1")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error { return activeStreams(m, 2*refusedLoad, 2*refusedLoad) })

	countRSTs(t, l.A)
	begin := time.Now()
	attempts := generateConnections(t, l.B, tcpgen, 1, refusedFloodRate, "-syn-flood", "1", "-dst-mac", hardwareAddress(t, l.A),
		"-packets", strconv.Itoa(refusedFlood), "-seed", "2").wait(t)
	took := time.Since(begin)
	refused := sentRSTs(t, l.A)
	if refused < attempts-refusedSpare {
		t.Fatalf("the kernel refused %v of %v attempts", refused, attempts)
	}

	const closedFamily, recycledFamily = "tcp_stream_exporter_streams_closed_total", "tcp_stream_exporter_connections_recycled_total"
	byRST, forAge := lab.Key(closedFamily, "reason", "rst"), lab.Key(closedFamily, "reason", "timeout")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if m[byRST] != 2*refused {
			return fmt.Errorf("%s is %v, want the streams of %v refused attempts", byRST, m[byRST], refused)
		}
		return activeStreams(m, 2*refusedLoad, 2*refusedLoad+attempts-refused)
	}, "tcp_stream_count", closedFamily)
	finalized, refusedAnd := countRefused(t, e)
	t.Logf("%v of %v attempts were refused in %v, in a table of %d; %d streams of them are still there", refused, attempts, took, room, finalized)
	if refusedAnd != "" {
		t.Errorf("a refused stream has more than it should: %s", refusedAnd)
	}

	// A connection that shows only SYNs and RSTs makes room as the half-open ones do. The attempts without an answer
	// may do so, too, and are one stream each.
	recycled, halfOpen := lab.Key(closedFamily, "reason", "recycled"), lab.Key(recycledFamily, "state", "half_open")
	m := e.Await(t, refusedFloodAge+agesLate+5*time.Second, func(m lab.Metrics) error {
		if gone := m[forAge] + m[recycled]; gone < 2*refused || gone > 2*refused+attempts-refused {
			return fmt.Errorf("%v streams went for their age, and %v made room, want all %v streams of the refused connections", m[forAge], m[recycled], 2*refused)
		}
		if n := m["tcp_stream_exporter_connections"]; n < refusedLoad || n > refusedLoad+attempts-refused {
			return fmt.Errorf("%v connections are left in the table, want the %d of the load", n, refusedLoad)
		}
		return activeStreams(m, 2*refusedLoad, 2*refusedLoad+attempts-refused)
	}, "tcp_stream_count", closedFamily, recycledFamily, "tcp_stream_exporter_connections")
	if over := max(0, attempts+refusedLoad-float64(room)); m[halfOpen] > over || over > 0 && m[halfOpen] == 0 {
		t.Errorf("%v connections made room in a table of %d, want at most %v, and some if that is not 0", m[halfOpen], room, over)
	}
	if n := m[lab.Key(recycledFamily, "state", "finalized")]; n != 0 {
		t.Errorf("%v other connections made room, want none", n)
	}
	load.cmd.Process.Signal(syscall.SIGTERM)
	load.wait(t)
	m = e.Settle(t)
	nothingDropped(t, m)
	load.checkStreams(t, m)
}

// answerEverybody has A take the addresses that the generator sends to for its own, and answer whoever it is, by
// way of B, which takes none of it. B's hardware address is known from the start: of the answers that wait for it
// the kernel would drop all but a hundred.
func answerEverybody(t *testing.T, l *lab.Lab) {
	t.Helper()
	l.A.Run(t, "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo")
	l.A.Run(t, "ip", "neigh", "replace", l.B.Addr.String(), "lladdr", hardwareAddress(t, l.B), "dev", lab.IfName, "nud", "permanent")
	l.A.Run(t, "ip", "route", "add", "default", "via", l.B.Addr.String())
}

// countRSTs counts the RSTs that a namespace sends from now on, where they leave it: TcpOutRsts has those as well that
// its kernel gives up, because too many of them wait at the other end (ip_send_unicast_reply, Linux 6.18).
func countRSTs(t *testing.T, ns *lab.NS) {
	t.Helper()
	need.Tool(t, "nft")
	ns.Run(t, "nft", "table ip sent { counter rst { }; chain out { type filter hook postrouting priority 300; tcp flags & rst == rst counter name rst; }; }")
}

// sentRSTs returns what countRSTs has counted.
func sentRSTs(t *testing.T, ns *lab.NS) float64 {
	t.Helper()
	out := ns.Run(t, "nft", "list", "counter", "ip", "sent", "rst")
	var packets float64
	if _, after, found := strings.Cut(out, "packets "); !found {
		t.Fatalf("no packets in %q", out)
	} else if _, err := fmt.Sscan(after, &packets); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return packets
}

// hardwareAddress returns that of a namespace's end of the veth.
func hardwareAddress(t *testing.T, ns *lab.NS) string {
	t.Helper()
	return strings.TrimSpace(ns.Run(t, "cat", "/sys/class/net/"+lab.IfName+"/address"))
}

// countRefused counts the finalized streams of an answer that is too long to be parsed. more is a series of one of
// them that refused connections have not.
func countRefused(t *testing.T, e *lab.Exporter) (finalized int, more string) {
	t.Helper()
	resp, err := e.Open(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if !strings.Contains(line, `state="finalized"`) || !strings.Contains(line, "src_ip=") {
			continue
		}
		name, _, _ := strings.Cut(line, "{")
		switch {
		case name == "tcp_packets_total":
			finalized++
		case name == handshakeFamily, strings.HasSuffix(name, "_delay_seconds"), name == "tcp_rtt_samples_total" && !strings.HasSuffix(line, " 0"):
			more = line
		}
	}
	if err := lines.Err(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a scrape of the refused streams: %s, %v", resp.Status, err)
	}
	return finalized, more
}
