package gen

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

// base returns a configuration with one change, for the tests below.
func base(change func(*Config)) Config {
	c := Config{Connections: 200, Payload: 100, ReverseShare: 1.0 / 3, Burst: 1, Seed: 7, KeepStreams: true}
	if change != nil {
		change(&c)
	}
	return c
}

// produce lets a source make packets, through a second of its own time, and hands each frame as
// it would be on the wire to the model.
func produce(t testing.TB, cfg Config, packets int) (*source, *model) {
	t.Helper()
	if err := (&cfg).Validate(); err != nil {
		t.Fatal(err)
	}
	s, m := newSource(cfg), newModel()
	m.flood = cfg.FloodShare > 0
	b := make([]byte, etherLen+ipv4Len+tcpLen+max(synOptionsLen, cfg.Payload))
	putEther(b, destMAC, sourceMAC)
	next := func() bool {
		n := s.next(b, 1)
		if n.head == 0 {
			return false
		}
		if err := m.add(b[:n.head+n.payload], !cfg.NoTCPChecksum); err != nil {
			t.Fatalf("packet %d: %v", m.counts.Packets, err)
		}
		return true
	}
	for i := range packets {
		s.allow(float64(i) / float64(packets))
		next()
	}
	if cfg.CloseAtEnd {
		for s.end(true); next(); {
		}
	}
	return s, m
}

func TestSourceSendsWhatHonestHostsWouldAndCountsIt(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		check  func(Counts) bool // beyond equality with the model's counts
	}{
		{"round robin", nil, func(c Counts) bool { return c.Opened == 200 && c.Closed == 0 && c.Flood == 0 }},
		{"uniform", func(c *Config) { c.Order = OrderUniform }, func(c Counts) bool { return c.Opened == 200 }},
		{"elephants", func(c *Config) { c.Order, c.Elephants, c.ElephantShare = OrderElephants, 3, 0.5 }, func(c Counts) bool { return c.Opened == 200 }},
		{"elephants only", func(c *Config) { c.Order, c.Elephants = OrderElephants, 200 }, func(c Counts) bool { return c.Opened == 200 }},
		{"one connection", func(c *Config) { c.Connections = 1 }, func(c Counts) bool { return c.SYN == 1 }},
		{"one connection that churns", func(c *Config) { c.Connections, c.Churn = 1, 50 }, func(c Counts) bool { return c.Closed >= 48 && c.Closed <= 50 }},
		{"churn", func(c *Config) { c.Churn = 500 }, func(c Counts) bool { return c.Closed >= 490 && c.Opened >= 690 && c.Opened <= 700 }},
		{"churn with resets", func(c *Config) { c.Churn, c.ResetShare = 500, 0.5 }, func(c Counts) bool { return c.RST > 150 && c.FIN > 300 }},
		{"more churn than fits", func(c *Config) { c.Churn = 1e6 }, func(c Counts) bool { return c.Closed > 1000 }},
		{"all reset at the end", func(c *Config) { c.CloseAtEnd, c.ResetShare = true, 1 }, func(c Counts) bool { return c.RST == 200 && c.Closed == 200 && c.FIN == 0 }},
		{"all closed at the end", func(c *Config) { c.CloseAtEnd, c.Churn = true, 300 }, func(c Counts) bool { return c.Opened == c.Closed && c.FIN == 2*c.Closed }},
		{"opened over time", func(c *Config) { c.OpenRate = 100 }, func(c Counts) bool { return c.Opened >= 95 && c.Opened <= 101 }},
		{"no ACKs", func(c *Config) { c.ReverseShare = 0 }, func(c Counts) bool { return c.ACK == 200 && c.SYNACK == 200 }},
		{"an ACK for each segment", func(c *Config) { c.ReverseShare = 0.5 }, func(c Counts) bool { return c.ACK-200 <= c.Data && c.ACK-200+200 >= c.Data }},
		{"one byte", func(c *Config) { c.Payload = 1 }, func(c Counts) bool { return c.PayloadBytes == c.Data }},
		{"jumbo", func(c *Config) { c.Payload = 9000 }, func(c Counts) bool { return c.PayloadBytes == 9000*c.Data }},
		{"without TCP checksums", func(c *Config) { c.NoTCPChecksum = true }, func(c Counts) bool { return c.Opened == 200 }},
		{"flood in between", func(c *Config) { c.FloodShare = 0.25 }, func(c Counts) bool { return c.Flood > 4600 && c.Flood < 5400 && c.Opened == 200 }},
		{"flood only", func(c *Config) { c.FloodShare = 1 }, func(c Counts) bool { return c.Flood == 20000 && c.Packets == 20000 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, m := produce(t, base(test.change), 20000)
			if s.counts != m.counts {
				t.Errorf("the source counts %+v\nthe wire has     %+v", s.counts, m.counts)
			}
			if !test.check(s.counts) {
				t.Errorf("counts: %+v", s.counts)
			}
			var b strings.Builder
			if err := s.writeStreams(&b); err != nil {
				t.Fatal(err)
			}
			compareStreams(t, b.String(), m)
		})
	}
}

// The two forms in which a capture sees only part of a connection.
func TestSourceOneWayAndMidStream(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		check  func(*testing.T, *model)
	}{
		{"one way: nothing from a server", func(c *Config) { c.OneWay, c.Churn = true, 500 }, func(t *testing.T, m *model) {
			for e, s := range m.sides {
				if s.packets > 0 && !clients.Contains(e.src.Addr()) {
					t.Fatalf("%v sent %d packets", e.src, s.packets)
				}
			}
			if m.counts.FIN < 400 || m.counts.Closed < 400 || m.counts.Data < 10000 {
				t.Errorf("counts %+v", m.counts)
			}
		}},
		{"mid-stream: no SYN", func(c *Config) { c.MidStream = true }, func(t *testing.T, m *model) {
			if m.counts.SYN+m.counts.SYNACK != 0 || len(m.sides) != 400 {
				t.Errorf("counts %+v, %d streams", m.counts, len(m.sides))
			}
		}},
		{"mid-stream, one way: a stream per packet at first", func(c *Config) { c.MidStream, c.OneWay, c.Connections = true, true, 20000 }, func(t *testing.T, m *model) {
			if m.counts.Data != 20000 || len(m.sides) != 40000 {
				t.Errorf("counts %+v, %d sides", m.counts, len(m.sides))
			}
		}},
		{"pure ACKs: each ahead of the one before", func(c *Config) { c.MidStream, c.OneWay, c.Payload = true, true, 0 }, func(t *testing.T, m *model) {
			if m.counts.ACK != 20000 || m.counts.WireBytes != 54*20000 {
				t.Errorf("counts %+v", m.counts)
			}
			for e, s := range m.sides {
				if s.packets > 0 && (s.packets != 100 || !s.acked) {
					t.Fatalf("%v sent %d packets, ACKs %v", e.src, s.packets, s.acked)
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, m := produce(t, base(test.change), 20000)
			m.counts.Opened = s.counts.Opened // no handshake, or half of one, that the model could count
			if s.counts != m.counts {
				t.Errorf("the source counts %+v\nthe wire has     %+v", s.counts, m.counts)
			}
			test.check(t, m)
		})
	}
}

func TestElephantsGetTheirShare(t *testing.T) {
	s, _ := produce(t, base(func(c *Config) { c.Order, c.Elephants, c.ElephantShare = OrderElephants, 2, 0.8 }), 100000)
	var heavy, all uint64
	for i, c := range s.conns {
		all += c.data
		if i < 2 {
			heavy += c.data
		}
	}
	if share := float64(heavy) / float64(all); share < 0.78 || share > 0.82 {
		t.Errorf("two elephants got %.3f of the data, want 0.8", share)
	}
}

func TestReverseShareIsKept(t *testing.T) {
	for _, want := range []float64{0.1, 0.25, 1.0 / 3, 0.5} {
		s, _ := produce(t, base(func(c *Config) { c.ReverseShare = want }), 100000)
		acks, data := float64(s.counts.ACK-200), float64(s.counts.Data)
		if got := acks / (acks + data); got < want-0.01 || got > want+0.01 {
			t.Errorf("share of ACKs %.3f, want %.3f", got, want)
		}
	}
}

// A burst is cut here as the kernel does it: the ACKs owed for it must each bring something new.
func TestBurstIsAcknowledgedStepByStep(t *testing.T) {
	cfg := base(func(c *Config) { c.Burst, c.ReverseShare, c.Connections = 16, 0.5, 3 })
	s, m := newSource(cfg), newModel()
	b := make([]byte, 256)
	putEther(b, destMAC, sourceMAC)
	for range 5000 {
		most := 1000
		if m.counts.Packets%7 == 0 {
			most = 5
		}
		n := s.next(b, most)
		segments := max(1, n.payload/cfg.Payload)
		if segments > min(16, most) {
			t.Fatalf("burst of %d segments, at most %d may be", segments, most)
		}
		for i := range segments {
			if err := m.add(cut(b[:n.head], n.payload/segments, i), segments == 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.counts != m.counts {
		t.Errorf("the source counts %+v\nthe wire has     %+v", s.counts, m.counts)
	}
	if m.counts.Data < 10*200 || m.counts.ACK < m.counts.Data-100 {
		t.Errorf("counts %+v", m.counts)
	}
}

// cut returns segment i of a burst; the TCP checksum, which the kernel would complete, is left as it is.
func cut(head []byte, payload, i int) []byte {
	frame := append(append([]byte{}, head...), make([]byte, payload)...)
	seq := binary.BigEndian.Uint32(head[tcpAt+4:]) + uint32(i*payload)
	binary.BigEndian.PutUint32(frame[tcpAt+4:], seq)
	binary.BigEndian.PutUint16(frame[ipv4At+2:], uint16(len(frame)-ipv4At))
	binary.BigEndian.PutUint16(frame[ipv4At+10:], 0)
	binary.BigEndian.PutUint16(frame[ipv4At+10:], ^uint16(onesSum(frame[ipv4At:tcpAt])))
	return frame
}

func TestForgeriesAreCountedApartAndDisturbNothing(t *testing.T) {
	cfg := base(func(c *Config) { c.ForgeShare = 0.2 })
	s := newSource(cfg)
	honest := newModel()
	b := make([]byte, 256)
	putEther(b, destMAC, sourceMAC)
	var forged uint64
	flags := map[byte]int{}
	for range 20000 {
		before := s.counts.Forged
		n := s.next(b, 1)
		if s.counts.Forged != before {
			forged++
			flags[b[tcpAt+13]]++
			continue
		}
		if err := honest.add(b[:n.head+n.payload], true); err != nil {
			t.Fatal(err)
		}
	}
	want := honest.counts
	want.Forged, want.Packets, want.WireBytes = forged, want.Packets+forged, s.counts.WireBytes
	if s.counts != want {
		t.Errorf("the source counts %+v\nwant              %+v", s.counts, want)
	}
	if forged < 3500 || forged > 4500 {
		t.Errorf("%d forgeries, want about 0.2 of 20000", forged)
	}
	fifth := int(forged) / 5
	for flag, n := range map[byte]int{flagSYN: fifth, flagRST: fifth, flagFIN | flagACK: fifth, flagACK: 2 * fifth} {
		if got := flags[flag]; got < n || got > n+2 {
			t.Errorf("%d forgeries with flags %#x, want about %d", got, flag, n)
		}
	}
	var inStreams uint64
	for _, c := range s.conns {
		inStreams += uint64(c.forged)
	}
	if inStreams != forged {
		t.Errorf("%d forgeries in streams, want %d", inStreams, forged)
	}
}

func TestSameSeedSamePackets(t *testing.T) {
	run := func(seed uint64) (out []byte) {
		s := newSource(base(func(c *Config) { c.Seed, c.Order, c.FloodShare, c.Churn = seed, OrderUniform, 0.1, 100 }))
		b := make([]byte, 256)
		for i := range 3000 {
			s.allow(float64(i) / 3000)
			n := s.next(b, 1)
			out = append(out, b[:n.head]...)
		}
		return out
	}
	if a, b := run(1), run(1); string(a) != string(b) {
		t.Error("two runs with one seed differ")
	}
	if a, b := run(1), run(2); string(a) == string(b) {
		t.Error("two seeds give the same run")
	}
}

func TestTuplesDoNotRepeat(t *testing.T) {
	type tuple struct {
		addr uint32
		port uint16
	}
	seen := map[tuple]bool{}
	s := newSource(base(nil))
	for n := range uint64(300000) {
		var c conn
		c.tuple(n, s.tupleOdd, s.tupleOffset)
		if c.client>>24 != 10 || c.clientPort < 32768 || c.serverPort != 443 || c.server>>17 != (198<<24|18<<16)>>17 {
			t.Fatalf("connection %d: %+v", n, c)
		}
		if seen[tuple{c.client, c.clientPort}] {
			t.Fatalf("connection %d has an address and port from before", n)
		}
		seen[tuple{c.client, c.clientPort}] = true
	}
}

func TestFloodAvoidsClientsAndSpecialNets(t *testing.T) {
	for a, want := range map[uint32]bool{
		0x00000001: false, 0x01000000: true, 0x09ffffff: true, 0x0a000000: false, 0x0affffff: false, 0x0b000000: true,
		0x7f000001: false, 0xdfffffff: true, 0xe0000000: false, 0xffffffff: false,
	} {
		if floodSource(a) != want {
			t.Errorf("flood from %v: %v, want %v", addr(a), !want, want)
		}
	}
}

func TestConnectionFillsOneCacheLine(t *testing.T) {
	if n := reflect.TypeFor[conn]().Size(); n != 64 {
		t.Errorf("a connection takes %d bytes, want 64", n)
	}
}

func TestNoAllocationPerPacket(t *testing.T) {
	s := newSource(base(func(c *Config) { c.Order, c.FloodShare, c.ForgeShare, c.Burst = OrderUniform, 0.1, 0.1, 4 }))
	b := make([]byte, 256)
	if n := testing.AllocsPerRun(10000, func() { s.next(b, 64) }); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

var sink length

func BenchmarkNext(b *testing.B) {
	for _, bench := range []struct {
		name   string
		change func(*Config)
	}{
		{"order=roundrobin/conns=1000", func(c *Config) { c.Connections = 1000 }},
		{"order=uniform/conns=1000", func(c *Config) { c.Connections, c.Order = 1000, OrderUniform }},
		{"order=uniform/conns=500000", func(c *Config) { c.Connections, c.Order = 500000, OrderUniform }},
		{"flood", func(c *Config) { c.FloodShare = 1 }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSource(base(bench.change))
			frame := make([]byte, 256)
			for s.counts.Opened < uint64(s.cfg.Connections) && s.flood == 0 {
				s.next(frame, 1)
			}
			for b.Loop() {
				sink = s.next(frame, 1)
			}
		})
	}
}
