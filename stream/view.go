package stream

import "tcp-stream-exporter/parse"

// Has says which of a View's conditional figures exist yet.
type Has uint8

const (
	HasRate         Has = 1 << iota // PacketRate: uptime above zero
	HasDelay                        // AvgDelay, Jitter, MinDelay, MaxDelay: at least one RTT sample
	HasBitrate                      // Bitrate, BitrateVariation: a complete one-second window
	HasSize                         // SizeVariation: at least two packets with payload
	HasInterarrival                 // InterarrivalDeviation: at least two gaps between packets
)

// View is one stream (one direction of a connection) as a reader sees it: plain values, no
// reference into the table. Durations are in seconds, sizes in bytes.
type View struct {
	Src, Dst         parse.Addr
	SrcPort, DstPort uint16
	Finalized        bool
	Has              Has
	Health           uint8  // 0 to 100
	WindowBytes      uint32 // last advertised window
	Packets, Bytes   uint64
	Uptime           float64 // first packet to now, or to the FIN or RST
	PacketRate       float64 // packets per second of uptime
	MinDelay         float64
	MaxDelay         float64
	Bitrate          float64 // bits per second
	// Single-precision figures: averages and deviations, good to seven digits.
	AvgDelay              float32
	Jitter                float32
	BitrateVariation      float32
	SizeVariation         float32
	InterarrivalDeviation float32
	Retransmits           uint32
	OutOfOrder            uint32
	DuplicateAcks         uint32
	Gaps                  uint32
	ZeroWindows           uint32
	Resets                uint32
}

// View fills v with direction dir as it stands at now, without the addresses and ports, which the
// Conn does not know. It reports false, and leaves v alone, when that direction is not a stream.
func (c *Conn) View(dir int, now int64, v *View) bool {
	s, d := &c.hot[dir&1], &c.cold[dir&1]
	if s.packets == 0 {
		return false
	}
	v.Has = 0
	v.Finalized = s.flags&finalized != 0
	v.Packets, v.Bytes, v.WindowBytes = s.packets, s.bytes, s.window()
	v.Retransmits, v.OutOfOrder, v.DuplicateAcks = d.retransmits, d.outOfOrder, d.duplicateAcks
	v.Gaps, v.ZeroWindows, v.Resets = d.gaps, d.zeroWindows, d.resets

	until := now
	if v.Finalized {
		until = d.endTime
	}
	v.Uptime, v.PacketRate = 0, 0
	if up := until - s.firstTime; up > 0 {
		v.Has |= HasRate
		v.Uptime = float64(up) / 1e9
		v.PacketRate = float64(s.packets) / v.Uptime
	}
	if d.delayN > 0 {
		v.Has |= HasDelay
		v.AvgDelay, v.Jitter = d.delay.mean*1e-9, d.delay.deviation()*1e-9
		v.MinDelay, v.MaxDelay = float64(d.minDelay)/1e9, float64(d.maxDelay)/1e9
	}
	if d.sizeN >= 2 {
		v.Has |= HasSize
		v.SizeVariation = d.size.variation()
	}
	if d.gapN >= 2 {
		v.Has |= HasInterarrival
		v.InterarrivalDeviation = d.gap.deviation() * 1e-9
	}
	// Windows that ended since the latest packet are closed in a copy: a reader changes nothing.
	windows := *d
	windows.closeWindows(now, s.bytes)
	if windows.rateN > 0 {
		v.Has |= HasBitrate
		v.Bitrate = float64(windows.rateBytes) * 8
		v.BitrateVariation = windows.rate.variation()
	}
	v.Health = windows.health()
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
