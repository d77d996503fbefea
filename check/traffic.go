package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// traffic is what passed in the time of a sample.
type traffic struct {
	took    time.Duration // of the capture
	stats   worker.Stats  // of the capture, at its end
	late    worker.Stats  // the same about a second before
	lateFor time.Duration // between the two
	passed  sample
	left    sample      // what the filter does not pass
	device  netif.Stats // counted by the interfaces meanwhile
	devices bool        // which is known
	looked  error       // why there are no samples
}

// sample is what a look has seen.
type sample struct {
	*kinds
	weight float64 // packets per second that each of them stands for
	full   bool
}

// rate returns packets per second.
func (s sample) rate() float64 { return float64(s.packets) * s.weight }

// bits returns bits per second.
func (s sample) bits() float64 { return float64(s.bytes) * 8 * s.weight }

// rate returns the packets per second that pass the filter: counted, not estimated.
func (t *traffic) rate() float64 {
	n := t.stats.Packets + t.stats.Dropped - min(t.stats.Copies+t.stats.Unselected, t.stats.Packets)
	return float64(n) / t.took.Seconds()
}

// whole returns the packets per second that pass the interface, as a packet socket sees them.
func (t *traffic) whole() float64 { return t.rate() + t.left.rate() }

// births returns the new connections per second of the last second. They are too many where connections rest for
// seconds: each is new when its first packet is seen.
func (t *traffic) births() float64 {
	if t.lateFor <= 0 {
		return 0
	}
	return float64(t.stats.Connections-t.late.Connections) / t.lateFor.Seconds()
}

// watch captures for c.Time as the exporter does, with samples beside it. The error is that of a capture that does not
// work.
func watch(c *Config, superAbove uint32) (*traffic, error) {
	t := &traffic{passed: sample{kinds: newKinds()}, left: sample{kinds: newKinds()}}
	looks, err := openLooks(c)
	t.looked = err
	defer func() {
		for _, l := range looks {
			_ = l.ring.Close() // its packets are counted
		}
	}()
	if len(looks) > 0 {
		time.Sleep(gaugeTime)
	}
	workers, err := c.NewWorkers()
	defer func() {
		for _, w := range workers {
			_ = w.Close() // its capture has ended
		}
	}()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	rings, err := ring.OpenGroup(context.Background(), c.Ring, c.Workers)
	if err != nil {
		return nil, err
	}
	reopen := func(context.Context) ([]*ring.Ring, error) { return nil, ring.ErrGone }
	gone := error(nil)
	g := capture.NewWorkers(workers, rings, reopen, c.Clock, func(change capture.Change) {
		if !change.Up {
			gone = change.Err
		}
	})
	if len(c.CPUs) > 0 {
		g.SetCPUs(c.CPUs)
	}
	g.SetSuperAbove(superAbove)
	if c.Begin != nil {
		c.Begin(g)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run() }()

	before, known := c.deviceStats()
	t.collect(c, g, looks, superAbove)
	after, still := c.deviceStats()
	if t.devices = known && still; t.devices {
		t.device = netif.Stats{
			RxPackets: after.RxPackets - before.RxPackets, TxPackets: after.TxPackets - before.TxPackets,
			RxBytes: after.RxBytes - before.RxBytes, TxBytes: after.TxBytes - before.TxBytes,
		}
	}
	lateAt := time.Now()
	g.Stop()
	err = <-ended
	t.took, t.stats = time.Since(begin), g.Stats()
	t.lateFor += time.Since(lateAt)
	switch {
	case err != nil:
		return nil, fmt.Errorf("capturing ended: %w", err)
	case gone != nil:
		return nil, fmt.Errorf("the interface went away meanwhile: %w", gone)
	}
	return t, nil
}

// openLooks opens both samples, or none.
func openLooks(c *Config) (looks []*look, err error) {
	for _, passing := range []bool{true, false} {
		l, err := openLook(c.Ring, passing)
		if err != nil {
			for _, l := range looks {
				_ = l.ring.Close() // it was never used
			}
			return nil, err
		}
		looks = append(looks, l)
	}
	return looks, nil
}

// collect takes the samples while the capture runs.
func (t *traffic) collect(c *Config, g *capture.Workers, looks []*look, superAbove uint32) {
	const poll = 10 * time.Millisecond // the ring of a look lasts for forty
	begin := time.Now()
	gauged := true
	for _, l := range looks {
		if err := l.gauge(gaugeTime, time.Now(), c.Time); err != nil {
			t.looked, gauged = err, false
		}
	}
	into := []*sample{&t.passed, &t.left}
	most := int(lookRate * c.Time.Seconds())
	drain := func() {
		for n, l := range looks {
			l.collect(most, func(f ring.Frame) {
				if c.captures(f) {
					into[n].note(f, superAbove)
				}
			})
		}
	}
	lateAt := begin.Add(c.Time - time.Second)
	var noted time.Time
	for time.Since(begin) < c.Time {
		if gauged {
			drain()
		}
		if noted.IsZero() && time.Now().After(lateAt) {
			t.late, noted = g.Stats(), time.Now()
		}
		time.Sleep(poll)
	}
	if gauged {
		time.Sleep(2 * lookTov)
		drain()
		for n, l := range looks {
			into[n].weight, into[n].full = l.weight(), l.full
		}
	}
	t.lateFor = time.Since(noted)
}

// captures reports whether a frame is one that the capture is for. What is sent on lo arrives on it too.
func (c *Config) captures(f ring.Frame) bool {
	const loopback = 772 // ARPHRD_LOOPBACK, linux/if_arp.h
	if f.Hatype() == loopback && f.PktType() == packetOutgoing {
		return false
	}
	if c.Direction == sent && f.PktType() != packetOutgoing {
		return false
	}
	if c.Ring.IfIndex != 0 {
		return true
	}
	for i := range c.Interfaces {
		if c.Interfaces[i].Index == int(f.IfIndex()) {
			return true
		}
	}
	return false
}

// Directions as -direction takes them.
const (
	arriving = "in"
	sent     = "out"
)

// deviceStats returns the sums of the interfaces' own counters.
func (c *Config) deviceStats() (sum netif.Stats, known bool) {
	var conn netif.Conn
	defer conn.Close()
	for i := range c.Interfaces {
		now, err := conn.ByIndex(c.Interfaces[i].Index)
		if errors.Is(err, netif.ErrNotExist) {
			continue
		}
		if err != nil || !now.HasStats {
			return sum, false
		}
		sum.RxPackets += now.Stats.RxPackets
		sum.TxPackets += now.Stats.TxPackets
		sum.RxBytes += now.Stats.RxBytes
		sum.TxBytes += now.Stats.TxBytes
	}
	return sum, true
}

func (t *traffic) report(p *page, c *Config) {
	const name = "traffic"
	if t.looked != nil {
		p.line(name, "%s packets/s pass the filter; what else there is is not known: %v", grouped(t.rate()), t.looked)
	} else {
		rate, bits := t.passed.rate()+t.left.rate(), t.passed.bits()+t.left.bits()
		mean := 0.0
		if rate > 0 {
			mean = bits / 8 / rate
		}
		p.line(name, "%s packets/s, %s, %s bytes on average, over %v", grouped(rate), bitRate(bits), grouped(mean), c.Time)
		if rate > 0 {
			p.line("", "%s of the packets pass the filter: %s packets/s", percent(t.passed.rate(), rate), grouped(t.rate()))
		} else {
			p.line("", "nothing has passed meanwhile: what follows from traffic is not known")
		}
	}
	if t.devices {
		per := func(n uint64) string { return grouped(float64(n) / c.Time.Seconds()) }
		p.line("", "the interface itself counts %s packets/s in and %s out, %s in and %s out", per(t.device.RxPackets), per(t.device.TxPackets),
			bitRate(float64(t.device.RxBytes)*8/c.Time.Seconds()), bitRate(float64(t.device.TxBytes)*8/c.Time.Seconds()))
	}
	if t.stats.Dropped > 0 {
		p.line("", "%s found the ring full and were lost", counted(int(t.stats.Dropped), "packet"))
	}
	if t.looked == nil {
		t.reportKinds(p)
	}
	if supers := t.stats.SuperPackets; supers > 0 {
		p.line("super-packets", "%s of what is accounted, %.1f segments in each: bytes are right, packets are counted in super-packets", percent(float64(supers), float64(t.stats.Packets)),
			float64(t.stats.SuperSegments)/float64(supers))
	} else {
		p.line("super-packets", "none seen")
	}
	p.line("connections", "%s seen, %s more each second", grouped(float64(t.stats.Connections)), grouped(max(t.births(), 0)))
}

// reportKinds has a line for each kind of packet that there was.
func (t *traffic) reportKinds(p *page) {
	whole := t.passed.rate() + t.left.rate()
	type row struct {
		name         string
		passed, left int
	}
	in, out := t.passed.kinds, t.left.kinds
	rows := []row{
		{"TCP", in.tcp, out.tcp}, {"IPv6", in.ipv6, out.ipv6}, {"VLAN tags", in.vlan, out.vlan}, {"PPPoE", in.pppoe, out.pppoe}, {"MPLS", in.mpls, out.mpls},
		{"fragments", in.fragment, out.fragment},
	}
	for bit := range in.tunnels {
		if name := parse.Tunnels(1 << bit).String(); name != "" {
			rows = append(rows, row{"TCP in " + name, in.tunnels[bit], out.tunnels[bit]})
		}
	}
	for _, r := range rows {
		passed, left := float64(r.passed)*t.passed.weight, float64(r.left)*t.left.weight
		all := passed + left
		switch {
		case all == 0 || whole == 0:
			if r.name == "TCP" || len(r.name) > len("TCP in ") && r.name[:7] == "TCP in " {
				continue
			}
			p.line(r.name, "none")
		case left == 0:
			p.line(r.name, "%s of the packets, and the filter passes them", percent(all, whole))
		case passed == 0:
			p.line(r.name, "%s of the packets, and the filter passes none of them", percent(all, whole))
		default:
			p.line(r.name, "%s of the packets, and the filter passes %s of them", percent(all, whole), percent(passed, all))
		}
	}
}
