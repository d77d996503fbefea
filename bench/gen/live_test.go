package gen

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/need"

	"golang.org/x/sys/unix"
)

// newLab makes a pair of namespaces for one test.
func newLab(t *testing.T, o lab.Options) *lab.Pair {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "ethtool")
	p, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// capture sends with cfg from one end of a pair while a ring at the other end hands each frame to
// visit. It fails the test unless every packet that the report claims has come, and no other.
func capture(t *testing.T, p *lab.Pair, cfg Config, visit func(walk.Frame)) (*Generator, Report) {
	t.Helper()
	var ring *walk.Ring
	err := p.B.Do(func() (err error) {
		ring, err = walk.Open(walk.Config{IfIndex: p.B.Index, BlockSize: 1 << 20, NumBlocks: 64, SnapLen: 65536, RetireTov: 5 * time.Millisecond})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	var g *Generator
	if err := p.A.Do(func() (err error) { g, err = New(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	defer g.Close()

	var report Report
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var err error
		report, err = g.Run(ctx)
		done <- err
	}()
	var got uint64
	finished, quiet := false, 0
	for quiet < 3 { // three empty waits after the end: nothing more is coming
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			finished = true
		default:
		}
		b, ok := ring.Next()
		if !ok {
			if finished {
				quiet++
			}
			if err := ring.Wait(30 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			continue
		}
		quiet = 0
		for f := (walk.Frame{}); b.Next(&f); got++ {
			visit(f)
		}
		ring.Release()
	}
	stats, err := ring.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got != report.Packets || stats.Packets != got || stats.Drops != 0 || report.Unsent != 0 {
		t.Errorf("%d frames came, ring %+v, report %s", got, stats, report.Line())
	}
	if c := report.Counts; c.SYN+c.SYNACK+c.Data+c.ACK+c.FIN+c.RST+c.Flood+c.Forged != c.Packets {
		t.Errorf("the kinds do not add up: %s", report.Line())
	}
	return g, report
}

// Whatever way the frames go to the kernel, the counts are those of what arrives, packet by packet.
func TestWhatArrivesIsWhatWasCounted(t *testing.T) {
	p := newLab(t, lab.Options{OffloadsOff: true})
	for _, test := range []struct {
		name   string
		change func(*Config)
		check  func(Report) bool
	}{
		{"sendmmsg", nil, func(r Report) bool { return r.Packets == 30000 && r.Opened == 200 }},
		{"sendmmsg through the qdisc layer", func(c *Config) { c.Qdisc = true }, func(r Report) bool { return r.Packets == 30000 }},
		{"transmit ring", func(c *Config) { c.Method = MethodTXRing }, func(r Report) bool { return r.Packets == 30000 && r.Opened == 200 }},
		{"transmit ring at a rate", func(c *Config) { c.Method, c.Rate, c.Packets = MethodTXRing, 50000, 10000 },
			func(r Report) bool { return r.Seconds > 0.18 && r.PPS < 52000 }},
		{"bursts", func(c *Config) { c.Burst = 10 }, func(r Report) bool { return r.Packets == 30000 && r.Data > 15000 }},
		{"full-size frames", func(c *Config) { c.Payload = 1460 }, func(r Report) bool { return r.PayloadBytes == 1460*r.Data }},
		{"churn at a rate", func(c *Config) {
			c.Rate, c.Packets, c.Duration, c.Churn, c.ResetShare = 50000, 0, 400*time.Millisecond, 2000, 0.3
		},
			func(r Report) bool {
				return r.Packets > 5000 && r.Packets <= 20100 && r.Closed > 300 && r.Closed <= 800 && r.RST > 50 && r.FIN > 300 &&
					r.SYN == r.Opened && r.FIN == 2*(r.Closed-r.RST) // none is left under way
			}},
		{"opened over time, closed at the end", func(c *Config) { c.Packets, c.Duration, c.OpenRate, c.CloseAtEnd = 0, 200*time.Millisecond, 500, true },
			func(r Report) bool { return r.Opened > 50 && r.Opened <= 102 && r.Closed == r.Opened }},
		{"a flood among real connections", func(c *Config) { c.FloodShare = 0.5 }, func(r Report) bool { return r.Flood > 14000 && r.Flood < 16000 && r.Opened == 200 }},
		{"ten packets", func(c *Config) { c.Packets = 10 }, func(r Report) bool { return r.Packets == 10 && r.SYN == 10 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := base(func(c *Config) { c.Interface, c.CPU, c.Packets = lab.Device, -1, 30000 })
			if test.change != nil {
				test.change(&cfg)
			}
			m := newModel()
			m.flood = cfg.FloodShare > 0
			bad := 0
			g, report := capture(t, p, cfg, func(f walk.Frame) {
				if err := m.add(f.Data, true); err != nil && bad < 5 {
					bad++
					t.Errorf("frame %d: %v", m.counts.Packets, err)
				}
				if f.PktType != unix.PACKET_OTHERHOST && bad < 5 {
					bad++
					t.Errorf("packet type %d, want PACKET_OTHERHOST: the receiving end would answer", f.PktType)
				}
			})
			if report.Counts != m.counts {
				t.Errorf("report   %+v\nthe wire %+v", report.Counts, m.counts)
			}
			if !test.check(report) {
				t.Error(report.Line())
			}
			var b strings.Builder
			if err := g.WriteStreams(&b); err != nil {
				t.Fatal(err)
			}
			compareStreams(t, b.String(), m)
		})
	}
}

func TestFloodComesFromAllOver(t *testing.T) {
	p := newLab(t, lab.Options{})
	sources, ports := map[[4]byte]bool{}, map[uint16]bool{}
	cfg := base(func(c *Config) { c.Interface, c.CPU, c.Packets, c.FloodShare = lab.Device, -1, 20000, 1 })
	_, report := capture(t, p, cfg, func(f walk.Frame) {
		if f.Data[tcpAt+13] != flagSYN {
			t.Fatalf("flags %#x", f.Data[tcpAt+13])
		}
		sources[[4]byte(f.Data[ipv4At+12:])] = true
		ports[binary.BigEndian.Uint16(f.Data[tcpAt:])] = true
	})
	// 20,000 of 2^32 addresses and of 2^16 ports: hardly a pair, and 1-e^(-20000/65536) of the ports.
	if report.Flood != 20000 || len(sources) < 19990 || len(ports) < 16800 || len(ports) > 17700 {
		t.Errorf("flood %d, %d sources, %d source ports", report.Flood, len(sources), len(ports))
	}
}

func TestTruncatedFramesClaimTheirPayload(t *testing.T) {
	p := newLab(t, lab.Options{})
	cfg := base(func(c *Config) {
		c.Interface, c.CPU, c.Packets, c.Payload, c.Truncate = lab.Device, -1, 2000, 9000, true
	})
	claimed := uint64(0)
	_, report := capture(t, p, cfg, func(f walk.Frame) {
		claimed += uint64(binary.BigEndian.Uint16(f.Data[ipv4At+2:])) - ipv4Len - uint64(f.Data[tcpAt+12]>>4)*4
		if f.WireLen > headersLen+synOptionsLen {
			t.Fatalf("frame of %d bytes", f.WireLen)
		}
	})
	if claimed != report.PayloadBytes || report.Data == 0 {
		t.Errorf("%d bytes claimed, report %s", claimed, report.Line())
	}
}

// tshark, which knows TCP better than the model, has no complaint about a clean run and some about a
// forged one.
func TestTsharkFindsACleanRunClean(t *testing.T) {
	need.Tool(t, "tshark")
	p := newLab(t, lab.Options{OffloadsOff: true})
	for _, test := range []struct {
		name   string
		change func(*Config)
		clean  bool
	}{
		{"churn", func(c *Config) { c.Rate, c.Churn, c.ResetShare = 20000, 200, 0.2 }, true},
		{"an ACK for each segment, uniform", func(c *Config) { c.Order, c.ReverseShare = OrderUniform, 0.5 }, true},
		{"bursts", func(c *Config) { c.Burst, c.ReverseShare = 8, 0.5 }, true},
		{"full-size frames", func(c *Config) { c.Payload = 1460 }, true},
		{"forged", func(c *Config) { c.ForgeShare = 0.1 }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := base(func(c *Config) { c.Interface, c.CPU, c.Packets, c.Connections = lab.Device, -1, 6000, 50 })
			test.change(&cfg)
			var file bytes.Buffer
			file.Write(pcapHeader())
			_, report := capture(t, p, cfg, func(f walk.Frame) { file.Write(pcapRecord(f.Data)) })
			path := filepath.Join(t.TempDir(), "run.pcap")
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if n := len(tshark(t, path, "tcp")); uint64(n) != report.Packets {
				t.Errorf("tshark reads %d TCP packets, want %d", n, report.Packets)
			}
			complaints := tshark(t, path, "_ws.malformed || _ws.expert.severity >= warning || tcp.analysis.retransmission || tcp.analysis.out_of_order || "+
				"tcp.analysis.lost_segment || tcp.analysis.duplicate_ack || tcp.analysis.ack_lost_segment || "+
				"ip.checksum.status == bad || tcp.checksum.status == bad")
			// A RST is a warning to tshark in itself; a connection that was cut off is meant here.
			if test.clean {
				complaints = without(complaints, "RST")
			}
			if test.clean != (len(complaints) == 0) {
				t.Errorf("%d complaints, clean run %v: %s", len(complaints), test.clean, strings.Join(complaints[:min(len(complaints), 5)], "\n"))
			}
		})
	}
}

// tshark returns one line for each packet of the file that the display filter lets through.
func tshark(t *testing.T, path, filter string) []string {
	t.Helper()
	cmd := exec.Command("tshark", "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-Y", filter)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, stderr.String())
	}
	text := strings.TrimSpace(string(out))
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func without(lines []string, word string) (rest []string) {
	for _, line := range lines {
		if !strings.Contains(line, word) {
			rest = append(rest, line)
		}
	}
	return rest
}

// pcapHeader and pcapRecord write a pcap file; its format is draft-ietf-opsawg-pcap.
func pcapHeader() []byte {
	var b []byte
	for _, v := range []uint32{0xa1b2c3d4, 2 | 4<<16, 0, 0, 65536, 1} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func pcapRecord(frame []byte) []byte {
	var b []byte
	for _, v := range []uint32{0, 0, uint32(len(frame)), uint32(len(frame))} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(b, frame...)
}

func TestNewRefusesInterfacesThatAreWrong(t *testing.T) {
	p := newLab(t, lab.Options{MTU: 1000})
	for _, argv := range [][]string{
		{"ip", "link", "add", "bridge0", "up", "type", "bridge"},
		{"ip", "link", "add", "ifb7", "type", "ifb"},
	} {
		if out, err := p.A.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	for _, test := range []struct {
		device string
		change func(*Config)
		want   string // "": allowed
	}{
		{lab.Device, nil, ""},
		{"none0", nil, `interface "none0"`},
		{"bridge0", nil, `bridge0 has the driver "bridge", which may lead to other machines`},
		{"bridge0", func(c *Config) { c.Force = true }, ""},
		{"ifb7", nil, "ip link set ifb7 up"},
		{lab.Device, func(c *Config) { c.Payload = 960 }, ""},
		{lab.Device, func(c *Config) { c.Payload = 961 }, "ip link set veth0 mtu 1001"},
		{lab.Device, func(c *Config) { c.Payload, c.Truncate = 9000, true }, ""},
		{lab.Device, func(c *Config) { c.Burst = 5 }, "ethtool -K veth0"}, // offloads are on in this lab
		{lab.Device, func(c *Config) { c.Connections = 0 }, "connections 0"},
	} {
		t.Run(fmt.Sprintf("%s %s", test.device, test.want), func(t *testing.T) {
			cfg := base(test.change)
			cfg.Interface = test.device
			err := p.A.Do(func() error {
				g, err := New(cfg)
				if err == nil {
					return g.Close()
				}
				return err
			})
			if test.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// An interface that goes away in the middle ends the run with an error, and the counts are still of
// what was sent.
func TestInterfaceGoneEndsTheRun(t *testing.T) {
	p := newLab(t, lab.Options{})
	for _, method := range []Method{MethodSendmmsg, MethodTXRing} {
		var g *Generator
		cfg := base(func(c *Config) { c.Interface, c.CPU, c.Rate, c.Method = lab.Device, 0, 10000, method })
		if err := p.A.Do(func() (err error) { g, err = New(cfg); return err }); err != nil {
			t.Fatal(err)
		}
		ip := func(state string) {
			if out, err := p.A.Command("ip", "link", "set", lab.Device, state).CombinedOutput(); err != nil {
				t.Errorf("link %s: %v: %s", state, err, out)
			}
		}
		time.AfterFunc(200*time.Millisecond, func() { ip("down") })
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		report, err := g.Run(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "network is down") {
			t.Errorf("%v: error %v, want that the network is down", method, err)
		}
		if report.Packets < 500 || report.Unsent == 0 || report.Unsent > mmsgBatch*4 {
			t.Errorf("%v: %s", method, report.Line())
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		ip("up")
		time.Sleep(50 * time.Millisecond)
	}
}
