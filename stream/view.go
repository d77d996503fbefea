package stream

import "tcp-stream-exporter/parse"

// Has marks the conditional figures of a View that exist.
type Has uint8

const (
	HasRate         Has = 1 << iota // PacketRate: uptime above zero
	HasDelay                        // AvgDelay, Jitter, MinDelay, MaxDelay: at least one RTT sample
	HasBitrate                      // Bitrate, BitrateVariation: a complete second
	HasSize                         // SizeVariation: at least two packets with payload
	HasInterarrival                 // InterarrivalDeviation: at least two gaps between packets
	HasReverse                      // the other direction of the connection is a stream, too
)

// View is one stream (one direction of a connection) as a reader sees it: plain values, no
// reference into the table. Durations are in seconds, sizes in bytes. 104 bytes: a reader of a large
// table holds very many of them.
type View struct {
	Packets, Bytes uint64
	Uptime         float64 // first packet to now, or to the FIN or RST
	Bitrate        float64 // bits per second
	// Single-precision figures: averages and deviations, good to seven digits.
	MinDelay, MaxDelay    float32
	AvgDelay              float32
	Jitter                float32
	BitrateVariation      float32
	SizeVariation         float32
	InterarrivalDeviation float32
	WindowBytes           uint32 // last advertised window
	Retransmits           uint32
	OutOfOrder            uint32
	DuplicateAcks         uint32
	Gaps                  uint32
	ZeroWindows           uint32
	Resets                uint32
	ends                  [2]uint32 // IPv4 source and destination; if wide the place among the Ends
	SrcPort, DstPort      uint16
	Finalized             bool
	wide                  bool
	Has                   Has
	Health                uint8 // 0 to 100
}

// ViewSize is the size of a View in bytes.
const ViewSize = 104

// EndsSize is the size of an Ends in bytes.
const EndsSize = 48

// Ends holds the addresses of a stream, and where it was seen.
type Ends struct {
	Src, Dst parse.Addr
	Origin
	_ uint32 // so that it is as large on processors of 32 bits
}

// Origin says where the packets of a stream were seen, as far as that tells it from others of the same addresses and
// ports. The zero value: nothing does.
type Origin struct {
	IfIndex uint32      // of the interface, as the kernel counts them from 1; 0: does not count
	VLANs   parse.VLANs // 0: in none, or does not count
	Shared  bool        // one of several origins that could not be told apart; nothing else is known then
}

// SetEnds notes the stream's addresses and origin. Those that are not both IPv4, and those with an origin, go to the
// end of wide, which is returned.
func (v *View) SetEnds(e Ends, wide []Ends) []Ends {
	if v.wide = !e.Src.Is4() || !e.Dst.Is4() || e.Origin != (Origin{}); v.wide {
		v.ends = [2]uint32{uint32(len(wide)), 0}
		return append(wide, e)
	}
	v.ends = [2]uint32{uint32(e.Src.Lo), uint32(e.Dst.Lo)}
	return wide
}

// Ends returns what SetEnds noted, with the same wide.
func (v *View) Ends(wide []Ends) Ends {
	if v.wide {
		return wide[v.ends[0]]
	}
	return Ends{Src: parse.AddrFrom4(v.ends[0]), Dst: parse.AddrFrom4(v.ends[1])}
}

// PacketRate returns packets per second of uptime, which must not be 0.
func (v *View) PacketRate() float64 { return float64(v.Packets) / v.Uptime }

// View fills v with direction dir as it stands at now, without the addresses and ports, which the
// Conn does not know. It reports false, and leaves v alone, when that direction is not a stream.
func (c *Conn) View(dir int, now int64, v *View) bool {
	s, d := &c.side[dir&1].hot, &c.side[dir&1].cold
	if s.packets == 0 {
		return false
	}
	v.Has = 0
	if c.side[dir&1^1].hot.packets != 0 {
		v.Has |= HasReverse
	}
	v.Finalized = s.flags&finalized != 0
	v.Packets, v.Bytes, v.WindowBytes = s.packets, s.bytes, s.window(d)
	v.Retransmits, v.OutOfOrder, v.DuplicateAcks = d.retransmits, d.outOfOrder, d.duplicateAcks
	v.Gaps, v.ZeroWindows, v.Resets = d.gaps, d.zeroWindows, d.resets

	up := now - s.firstTime(d)
	if v.Finalized {
		up = d.ended.ns()
	}
	v.Uptime = 0
	if up > 0 {
		v.Has |= HasRate
		v.Uptime = float64(up) / 1e9
	}
	if d.delayN > 0 {
		v.Has |= HasDelay
		v.AvgDelay, v.Jitter = d.delay.mean*1e-9, d.delay.deviation()*1e-9
		v.MinDelay, v.MaxDelay = v.AvgDelay, v.AvgDelay
		if d.minDelay <= d.maxDelay {
			v.MinDelay, v.MaxDelay = float32(float64(d.minDelay.ns())/1e9), float32(float64(d.maxDelay.ns())/1e9)
		}
	}
	if d.sizeN >= 2 {
		v.Has |= HasSize
		v.SizeVariation = d.size.variation()
	}
	if d.gapN >= 2 {
		v.Has |= HasInterarrival
		v.InterarrivalDeviation = d.gap.deviation() * 1e-9
	}
	if now >= s.secondEnd { // seconds that ended since the latest packet are closed in a copy: a reader changes nothing
		stream, detail := *s, *d
		stream.closeSeconds(&detail, now)
		s, d = &stream, &detail
	}
	if d.rateN > 0 {
		v.Has |= HasBitrate
		v.Bitrate = float64(uint64(s.rateBytesHigh)<<32|uint64(d.rateBytes)) * 8
		v.BitrateVariation = d.rate.variation()
	}
	v.Health = d.health()
	return true
}

// health scores a stream from 100 down to 0, by the formula of the exporter that this one replaces.
func (d *Detail) health() uint8 {
	lost := min(5*uint64(d.retransmits), 30) +
		20*uint64(d.resets) +
		min(2*uint64(d.outOfOrder), 20) +
		min(uint64(d.duplicateAcks), 10) +
		min(10*uint64(d.zeroWindows), 20) +
		min(3*uint64(d.gaps), 15)
	if d.rateN > 5 && d.rate.variation() > 0.3 {
		lost += 10
	}
	if d.delayN > 5 && d.delay.deviation() > 50e6 {
		lost += 5
	}
	return uint8(100 - min(lost, 100))
}
