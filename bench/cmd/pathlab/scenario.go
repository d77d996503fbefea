package main

import (
	"fmt"
	"time"

	"tcp-stream-exporter/bench/netpath"
)

// scenario is a path with a name.
type scenario struct {
	name string
	path netpath.Config
	// at is where the exporter captures live. The half of the path on its side does nothing then, so
	// that the device and the capture point see the same packets.
	at end
}

type end int

const (
	nowhere end = iota // the exporter reads the path's recording
	atSender
	atReceiver
)

// losses are in per cent, before and behind the capture point.
type losses [2]int

func (l losses) String() string { return fmt.Sprintf("loss=%d%%+%d%%", l[0], l[1]) }

// midway returns a path with the capture point in the middle.
func midway(roundTrip time.Duration, l losses) scenario {
	s := scenario{name: fmt.Sprintf("%gms,%v", float64(roundTrip)/1e6, l)}
	s.path.Before = netpath.Half{Delay: roundTrip / 4, Loss: float64(l[0]) / 100}
	s.path.Behind = netpath.Half{Delay: roundTrip / 4, Loss: float64(l[1]) / 100}
	return s
}

// besideReceiver has all delay before the point; there must be no loss behind it.
func besideReceiver(roundTrip time.Duration, l losses) scenario {
	s := midway(roundTrip, l)
	s.path.Before.Delay, s.path.Behind.Delay = roundTrip/2, 0
	s.at = atReceiver
	return s
}

// besideSender has all delay behind the point; there must be no loss before it.
func besideSender(roundTrip time.Duration, l losses) scenario {
	s := midway(roundTrip, l)
	s.path.Before.Delay, s.path.Behind.Delay = 0, roundTrip/2
	s.at = atSender
	return s
}

// with returns the scenario with a change of its path.
func (s scenario) with(name string, change func(*netpath.Config)) scenario {
	s.name += "," + name
	change(&s.path)
	return s
}

func oneWay(c *netpath.Config)     { c.DataOnly = true }
func thinned(c *netpath.Config)    { c.ThinACKs = 8 }
func heldBack(c *netpath.Config)   { c.Held, c.HeldBy = 0.01, 300*time.Microsecond }
func earlyACKs(c *netpath.Config)  { c.ACKsEarly = 50 * time.Microsecond }
func bottleneck(c *netpath.Config) { c.Mbits, c.Queue = 20, 150*time.Millisecond }

const (
	oneWayName     = "one way"
	thinnedName    = "1 ACK in 8"
	heldBackName   = "held back 1% 300us"
	earlyACKsName  = "ACKs 50us early"
	bottleneckName = "20Mbit/s 150ms"
)

const ms = time.Millisecond

// recorded returns the scenarios for a capture file.
func recorded() (all []scenario) {
	for _, roundTrip := range []time.Duration{400 * time.Microsecond, 6 * ms, 26 * ms, 40 * ms, 100 * ms} {
		for _, percent := range []int{1, 4} {
			for _, l := range []losses{{percent, 0}, {0, percent}, {percent, percent}} {
				all = append(all, midway(roundTrip, l))
			}
		}
	}
	for _, roundTrip := range []time.Duration{6 * ms, 26 * ms, 100 * ms} {
		all = append(all,
			midway(roundTrip, losses{1, 0}).with(oneWayName, oneWay),
			midway(roundTrip, losses{1, 0}).with(thinnedName, thinned),
			midway(roundTrip, losses{0, 0}).with(heldBackName, heldBack),
			midway(roundTrip, losses{1, 1}).with(heldBackName, heldBack),
			// An ACK comes before its data only where the way to the receiver and back is shorter.
			besideReceiver(roundTrip, losses{1, 0}).with(earlyACKsName, earlyACKs),
			midway(roundTrip, losses{0, 0}).with(bottleneckName, bottleneck),
		)
	}
	return all
}

// live returns the scenarios for an exporter at an end of the path.
func live() (all []scenario) {
	for _, roundTrip := range []time.Duration{400 * time.Microsecond, 6 * ms, 26 * ms, 100 * ms} {
		for _, percent := range []int{1, 4} {
			all = append(all, besideReceiver(roundTrip, losses{percent, 0}), besideSender(roundTrip, losses{0, percent}))
		}
	}
	return append(all,
		besideReceiver(6*ms, losses{1, 0}).with(heldBackName, heldBack),
		besideReceiver(26*ms, losses{1, 0}).with(heldBackName, heldBack),
		besideReceiver(26*ms, losses{1, 0}).with(thinnedName, thinned),
		besideSender(26*ms, losses{0, 0}).with(bottleneckName, bottleneck),
	)
}

// length returns how long to send: -seconds, or a multiple on long paths, which carry less in the same time.
func (s *scenario) length(seconds float64) time.Duration {
	switch r := s.path.RoundTrip(); {
	case r >= 80*ms:
		seconds *= 3
	case r >= 20*ms:
		seconds *= 2
	}
	return time.Duration(seconds * float64(time.Second))
}
