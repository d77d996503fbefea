package status

import (
	"fmt"
	"strings"

	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/worker"
)

// What packets are lost to, in a mark.
const (
	ringFull = iota
	ringFrozen
	tableFull
	badBlocks
	reopened
	sharedOrigin
	softnetFull
	numCauses
)

// causesOf returns the counts of what packets were lost to.
func causesOf(s *worker.Stats, f *loss.Figures) [numCauses]uint64 {
	return [numCauses]uint64{
		ringFull: s.Dropped, ringFrozen: s.Freezes, tableFull: s.NoRoom, badBlocks: s.BadBlocks, reopened: s.Reopened,
		sharedOrigin: s.SharedOrigin, softnetFull: f.SoftnetDropped,
	}
}

// causes has a name for each, which stays the same, where it is, and what is to be said of a count.
var causes = [numCauses]struct{ name, place, text string }{
	ringFull:     {"ring_full", "ring", "%d packets found the ring full: raise -numblocks, or -workers if the processors are busy"},
	ringFrozen:   {"ring_frozen", "ring", "the ring was full %d times: raise -numblocks, or -workers if the processors are busy"},
	tableFull:    {"table_full", "table", "%d packets of new connections found the table full: raise -max-connections"},
	badBlocks:    {"bad_block", "ring", "%d blocks of the ring could not be read to their end: restart the exporter, and report it"},
	reopened:     {"reopened", "interface", "the interface was away and came back, %d times: what passed meanwhile was not seen"},
	sharedOrigin: {"shared_origin", "table", "%d packets of interfaces and VLANs that no number was left for: streams of the same addresses are one there"},
	softnetFull:  {"softnet_full", "kernel", "%d packets found a processor's receive queue full, of the whole machine: raise net.core.netdev_max_backlog"},
}

// cardText is what is to be said of the losses of an interface, by loss.CounterNames.
var cardText = [loss.NumCounters]string{
	loss.RxDropped: "%d packets were thrown away by %s or its driver (rx_dropped)",
	loss.RxMissed:  "%d packets found no buffer at %s (rx_missed_errors): raise its receive ring, ethtool -G",
	loss.RxFifo:    "%d packets overflowed the queue of %s (rx_fifo_errors): raise its receive ring, ethtool -G",
	loss.RxOver:    "%d packets overflowed the queue of %s (rx_over_errors): raise its receive ring, ethtool -G",
}

// lossReason is one place where something was lost in the last minute.
type lossReason struct {
	Cause     string `json:"cause"`
	Place     string `json:"place"`
	Interface string `json:"interface,omitempty"`
	Workers   []int  `json:"workers,omitempty"` // whose rings
	Count     uint64 `json:"count,omitempty"`
	Text      string `json:"text"`
}

// lossesSince returns what was lost from a mark to a reading. The caller holds mu.
func (h *History) lossesSince(from int, r *reading) []lossReason {
	all := []lossReason{}
	then := &h.capture[from%marks]
	away, blind := r.capture.away, r.capture.blind
	for i := from; i < h.taken; i++ {
		away, blind = away || h.capture[i%marks].away, blind || h.capture[i%marks].blind
	}
	if away {
		all = append(all, awayReason(r))
	}
	for i, c := range causes {
		if i == ringFrozen && grown(then.lost[ringFull], r.capture.lost[ringFull]) > 0 {
			continue // said already
		}
		if n := grown(then.lost[i], r.capture.lost[i]); n > 0 {
			why := lossReason{Cause: c.name, Place: c.place, Count: n, Text: fmt.Sprintf(c.text, n)}
			if i == ringFull {
				why.Workers = h.droppingSince(from, r)
			}
			all = append(all, why)
		}
	}
	for i := range r.losses.Links {
		link := &r.losses.Links[i]
		was := [loss.NumCounters]uint64{}
		if p := h.find(link.Name); p != nil {
			was = p.marks[from%marks].lost
		}
		for k, n := range link.Lost {
			if n := grown(was[k], n); n > 0 {
				all = append(all, lossReason{
					Cause: loss.CounterNames[k], Place: "interface", Interface: link.Name, Count: n, Text: fmt.Sprintf(cardText[k], n, link.Name),
				})
			}
		}
	}
	if blind {
		text := "what network card and kernel lose could not be read: what it says in the log"
		if r.losses.Unreadable != "" {
			text = "what network card and kernel lose cannot be read: " + r.losses.Unreadable
		}
		all = append(all, lossReason{Cause: "unreadable", Place: "kernel", Text: text})
	}
	return all
}

// awayReason tells of interfaces that are away, or were.
func awayReason(r *reading) lossReason {
	var names []string
	for _, i := range r.interfaces {
		if i.Named && !i.Up {
			names = append(names, i.Name)
		}
	}
	why := lossReason{Cause: "interface_away", Place: "interface"}
	switch {
	case len(names) == 0 && r.total.InterfaceUp:
		why.Text = "an interface was down or gone: what passed meanwhile was not seen"
	case len(names) == 0:
		why.Text = "the capture is not open: the log says why"
	case len(names) == 1:
		why.Interface = names[0]
		why.Text = names[0] + " is down, gone or cannot be captured: it is waited for"
	default:
		why.Text = strings.Join(names[:min(len(names), maxNamed)], ", ")
		if more := len(names) - maxNamed; more > 0 {
			why.Text += fmt.Sprintf(" and %d more", more)
		}
		why.Text += " are down, gone or cannot be captured: they are waited for"
	}
	return why
}

// maxNamed bounds the interfaces that one line names.
const maxNamed = 10

// droppingSince returns the workers whose rings have dropped packets since a mark. The caller holds mu.
func (h *History) droppingSince(from int, r *reading) (workers []int) {
	for i := range min(len(r.workers), len(h.workers)) {
		if r.workers[i].Dropped > h.workers[i][from%marks].dropped {
			workers = append(workers, i)
		}
	}
	return workers
}

// grown returns by how much a counter has grown; 0 if it has begun anew.
func grown(before, now uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}
