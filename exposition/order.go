package exposition

import (
	"math"

	"tcp-stream-exporter/stream"
)

// Order says by which figure streams are ranked, the largest first; by health the least first. Streams that do not have
// the figure come last.
type Order uint8

// The figures that streams can be ranked by.
const (
	ByBytes       Order = iota // payload
	ByPackets                  // segments
	ByRetransmits              // segments sent again
	ByDelay                    // mean round-trip time
	ByHealth                   // the worst first; a stream without a reverse has none
	ByBitrate                  // of the last complete second
)

// OrderNames lists the names that OrderNamed knows, for messages.
const OrderNames = "bytes, packets, retransmits, delay or health"

// OrderNamed returns the order with a name that flags take, and whether there is one.
func OrderNamed(name string) (o Order, known bool) {
	switch name {
	case "bytes":
		return ByBytes, true
	case "packets":
		return ByPackets, true
	case "retransmits":
		return ByRetransmits, true
	case "delay":
		return ByDelay, true
	case "health":
		return ByHealth, true
	}
	return 0, false
}

// Counts reports whether the figure is one that grows, of which a difference between two readings says something.
func (o Order) Counts() bool { return o <= ByRetransmits }

// Score returns a number that is larger the further in front v stands. It is the figure itself if that is one that
// Counts, and 0 without the figure.
func (o Order) Score(v *stream.View) uint64 {
	switch o {
	case ByPackets:
		return v.Packets
	case ByRetransmits:
		return uint64(v.Retransmits)
	case ByDelay:
		if v.Has&stream.HasDelay != 0 {
			return 1 + uint64(math.Float32bits(v.AvgDelay)) // in the order of the numbers, because none is below 0
		}
		return 0
	case ByHealth:
		if v.Has&stream.HasReverse != 0 {
			return 101 - uint64(v.Health)
		}
		return 0
	case ByBitrate:
		if v.Has&stream.HasBitrate != 0 {
			return 1 + math.Float64bits(v.Bitrate)
		}
		return 0
	}
	return v.Bytes
}
