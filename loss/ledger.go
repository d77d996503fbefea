package loss

import (
	"cmp"
	"slices"

	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/printable"
)

// The losses of an interface that are watched, see netif.Stats.
const (
	RxDropped = iota
	RxMissed
	RxFifo
	RxOver
	NumCounters
)

// CounterNames holds the counters' names, those of /sys/class/net/NAME/statistics.
var CounterNames = [NumCounters]string{"rx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_over_errors"}

// counters returns the losses in the order of CounterNames.
func counters(s *netif.Stats) [NumCounters]uint64 {
	return [NumCounters]uint64{RxDropped: s.RxDropped, RxMissed: s.RxMissedErrors, RxFifo: s.RxFifoErrors, RxOver: s.RxOverErrors}
}

const (
	// maxListed is the most interfaces that have figures of their own at a time.
	maxListed = 64
	// Others is the name under which the losses of all further ones are summed up. No interface
	// can bear it: names have no space in them (dev_valid_name in net/core/dev.c).
	Others = "all others"
)

// counter sums up a kernel counter from its first reading on.
type counter struct {
	last, total uint64
	known       bool
}

// add takes a reading and reports whether the counter has grown. A reading below the last one begins
// a new count (a driver that starts over, a processor taken offline, 32 bits that wrap): how much was
// lost until then is not known, so nothing is added.
func (c *counter) add(reading uint64) (grown bool) {
	if c.known && reading > c.last {
		c.total += reading - c.last
		grown = true
	}
	c.last, c.known = reading, true
	return grown
}

// account holds the losses of one interface.
type account struct {
	index  int
	lost   [NumCounters]counter
	listed bool
	round  uint64 // when it was last seen
	now    netif.Interface
}

// ledger holds the losses of all watched interfaces, by the names under which they are listed.
type ledger struct {
	accounts map[string]*account
	listed   int
	others   [NumCounters]uint64
	round    uint64
	waiting  []string // accounts that are not listed, of this round
}

// begin starts a round of readings.
func (l *ledger) begin() {
	if l.accounts == nil {
		l.accounts = map[string]*account{}
	}
	l.round++
	l.waiting = l.waiting[:0]
}

// enter takes the reading of one interface and reports whether it has lost something since the last
// round. Another interface under a known name starts from its own counts.
func (l *ledger) enter(name string, k *netif.Interface) (grown bool) {
	name = printable.Text(name) // it becomes a label
	lost := counters(&k.Stats)
	a := l.accounts[name]
	if a == nil {
		a = &account{index: k.Index}
		l.accounts[name] = a
	}
	first := a.round != l.round // an interface may come twice while others come and go
	a.round = l.round
	for i := range a.lost {
		c := &a.lost[i]
		c.known = c.known && a.index == k.Index
		before := c.total
		if c.add(lost[i]) {
			grown = true
		}
		if !a.listed {
			l.others[i] += c.total - before
			c.total = 0
		}
	}
	a.index, a.now = k.Index, *k
	a.now.Name = name
	if first && !a.listed {
		l.waiting = append(l.waiting, name)
	}
	return grown
}

// end ends the round. With forget, interfaces that were not in it are dropped; their places go to
// others, the oldest (lowest index) first.
func (l *ledger) end(forget bool) {
	if forget {
		for name, a := range l.accounts {
			if a.round == l.round {
				continue
			}
			if a.listed {
				l.listed--
			}
			delete(l.accounts, name)
		}
	}
	if l.listed >= maxListed || len(l.waiting) == 0 {
		return
	}
	slices.SortFunc(l.waiting, func(x, y string) int { return cmp.Compare(l.accounts[x].index, l.accounts[y].index) })
	for _, name := range l.waiting[:min(len(l.waiting), maxListed-l.listed)] {
		l.accounts[name].listed = true
		l.listed++
	}
}

// list returns the figures of the listed interfaces by name, and those of all others behind them.
func (l *ledger) list() []Link {
	out := make([]Link, 0, l.listed+1)
	for name, a := range l.accounts {
		if !a.listed {
			continue
		}
		k := Link{Name: name}
		for i := range k.Lost {
			k.Lost[i] = a.lost[i].total
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(x, y Link) int { return cmp.Compare(x.Name, y.Name) })
	if len(l.accounts) > l.listed || l.others != [NumCounters]uint64{} {
		out = append(out, Link{Name: Others, Lost: l.others})
	}
	return out
}

// present returns the listed interfaces that were in the latest round, by name.
func (l *ledger) present() []netif.Interface {
	out := make([]netif.Interface, 0, l.listed)
	for _, a := range l.accounts {
		if a.listed && a.round == l.round {
			out = append(out, a.now)
		}
	}
	slices.SortFunc(out, func(x, y netif.Interface) int { return cmp.Compare(x.Name, y.Name) })
	return out
}
