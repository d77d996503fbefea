package netpath

import (
	"errors"
	"io"
	"time"
)

// Half is one of the two parts of the path, before or behind the capture point as seen from the
// sender.
type Half struct {
	Delay      time.Duration // of every packet, each way
	Loss       float64       // share of the sender's packets, 0 to 1
	ReturnLoss float64       // share of the receiver's packets
}

// Config describes the path. The zero value passes everything on at once.
type Config struct {
	Before, Behind Half

	// Held is the share of the sender's packets that are held back before the point, each by a random
	// time up to HeldBy.
	Held   float64
	HeldBy time.Duration

	// ThinACKs lets one in so many of the receiver's pure ACKs pass, as on a path that aggregates
	// them; 0 and 1: all pass. The others do not reach the point.
	ThinACKs int

	// Mbits is the rate of a bottleneck behind the point, for the sender's packets, in Mbit/s of IP
	// packets; 0: none. A packet that would wait for longer than Queue is dropped.
	Mbits float64
	Queue time.Duration

	// The capture only: it holds the sender's packets alone, or gives the receiver's packets without
	// payload this much too early, as where the directions are captured by different devices.
	DataOnly  bool
	ACKsEarly time.Duration

	Seed    uint64    // of all random choices
	Capture io.Writer // a pcap file of what passes the point; may be nil
}

// RoundTrip returns the delay of a packet and its answer, without any queue.
func (c *Config) RoundTrip() time.Duration { return 2 * (c.Before.Delay + c.Behind.Delay) }

func (c *Config) check() error {
	for _, share := range []float64{c.Before.Loss, c.Before.ReturnLoss, c.Behind.Loss, c.Behind.ReturnLoss, c.Held} {
		if !(share >= 0 && share <= 1) {
			return errors.New("netpath: a share of packets is not between 0 and 1")
		}
	}
	if min(c.Before.Delay, c.Behind.Delay, c.HeldBy, c.Queue, c.ACKsEarly) < 0 || c.ThinACKs < 0 || !(c.Mbits >= 0) {
		return errors.New("netpath: a time, a number or a rate is negative")
	}
	return nil
}
