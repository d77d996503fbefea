package app

import (
	"log/slog"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/worker"
)

// hints looks at the totals now and then for what an operator may not expect, and logs each once.
type hints struct {
	ipv6         bool // IPv6 is tracked
	ipv6Grouped  bool // it counts in groups all the same
	arriving     bool // packets are captured as they arrive only
	last         worker.Stats
	toldIPv6     bool
	toldOneSided bool
}

const (
	// hintPackets and hintStreams are how much must have passed for a share to say something.
	hintPackets = 1000
	hintStreams = 100
	// ipv6Share is the part of the packets, one in so many, that is told of.
	ipv6Share = 100
	// oneSidedShare is the same of streams that are dropped for their age.
	oneSidedShare = 4
)

// note takes the totals of now.
func (h *hints) note(s worker.Stats, log *slog.Logger) {
	packets, ipv6 := s.Packets-h.last.Packets, s.Skipped[parse.IPv6]-h.last.Skipped[parse.IPv6]
	if !h.ipv6 && !h.toldIPv6 && packets >= hintPackets && ipv6*ipv6Share > packets {
		h.toldIPv6 = true
		message := "IPv6 passes by and is not tracked: -ipv6 tracks it"
		if h.ipv6Grouped {
			message = "IPv6 passes by and is in the metrics by group alone: -ipv6 has it in those by stream too"
		}
		log.Warn(message, "packets", ipv6, "of", packets)
	}
	dropped, oneSided := s.Expired-h.last.Expired, s.OneSided-h.last.OneSided
	if h.arriving && !h.toldOneSided && dropped >= hintStreams && oneSided*oneSidedShare > dropped {
		h.toldOneSided = true
		log.Warn("of many streams nothing of the other direction arrives: with -direction in that is so behind NAT on this machine, and of what it sends itself; -direction both shows them whole",
			"streams", oneSided, "of", dropped)
	}
	h.last = s
}
