package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/wheel"
)

// mill is a table and a wheel at work. One step is one tick of the wheel.
type mill struct {
	table    *table.Table
	wheel    *wheel.Wheel
	rand     *rand.Rand
	tick     uint32
	next     uint64   // number of the next connection
	deadline []uint32 // by record
	number   []uint64 // of the connection in each record
	live     []uint32 // records in use, in no order
	place    []uint32 // where each record stands in live
	due      [64]uint32
	counts   counts
	since    time.Time
	sinceAt  uint64
}

// counts are the operations so far. Every step inserts and looks up twice: a new connection is looked
// up before it is inserted.
type counts struct {
	steps, finds, inserts, removals uint64 // of the table
	turns, arms, pops, cancels      uint64 // of the wheel
	expired, recycled               uint64
}

func (c *counts) operations() uint64 { return c.finds + c.inserts + c.removals }

func newMill(connections int) (*mill, error) {
	t, err := table.New(connections)
	if err != nil {
		return nil, err
	}
	m := &mill{
		table: t, wheel: wheel.New(connections), rand: rand.New(rand.NewPCG(1, uint64(connections))),
		tick:     math.MaxUint32 - 1<<20, // the ticks wrap on the way
		deadline: make([]uint32, connections), number: make([]uint64, connections),
		live: make([]uint32, 0, connections), place: make([]uint32, connections),
	}
	m.wheel.Reset(m.tick)
	m.since = time.Now()
	return m, nil
}

// key returns the key of connection n: 28,000 ports each of 2^24 clients, then the next of 64 servers.
func key(n uint64) table.Key {
	const ports, clients, servers = 28_000, 1 << 24, 64
	return parse.FlowOf(parse.AddrFrom4(0x0a000000|uint32(n/ports%clients)), parse.AddrFrom4(0xc6120001+uint32(n/ports/clients%servers)),
		uint16(32768+n%ports), 443)
}

// age returns how long a connection stays after it was last heard of. One comes in each step: at seven
// eighths of the table's capacity on average, and longer stays on top, the table is full now and then.
func (m *mill) age() uint32 { return 1 + m.rand.Uint32N(uint32(cap(m.live))*7/4) }

func (m *mill) step() {
	m.counts.steps++
	m.tick++
	m.turn()
	m.hear()
	m.open()
}

// turn removes the connections that are due.
func (m *mill) turn() {
	for more := true; more; {
		var n int
		n, more = m.wheel.Advance(m.tick, m.due[:])
		m.counts.turns++
		for _, i := range m.due[:n] {
			m.counts.pops++
			if int32(m.deadline[i]-m.tick) > 0 {
				m.arm(i)
				continue
			}
			m.counts.expired++
			m.remove(i)
		}
	}
}

func (m *mill) arm(i uint32) {
	m.counts.arms++
	m.wheel.Arm(i, m.deadline[i])
}

func (m *mill) remove(i uint32) {
	m.counts.removals++
	m.table.Remove(i)
	last := m.live[len(m.live)-1]
	m.live[m.place[i]], m.place[last] = last, m.place[i]
	m.live = m.live[:len(m.live)-1]
}

// hear looks up a connection that is there. Every third stays longer for it, as a packet does it:
// without touching the wheel.
func (m *mill) hear() {
	if len(m.live) == 0 {
		return
	}
	i := m.live[m.rand.IntN(len(m.live))]
	k := key(m.number[i])
	m.counts.finds++
	if at, ok := m.table.Find(&k, m.table.Hash(&k)); !ok || at != i {
		panic(fmt.Sprintf("connection %d is in record %d, found: %v, %d", m.number[i], i, ok, at))
	}
	if later := m.tick + m.age(); m.counts.steps%3 == 0 && int32(later-m.deadline[i]) > 0 {
		m.deadline[i] = later
	}
}

// open adds a connection. In a full table another one makes room.
func (m *mill) open() {
	k := key(m.next)
	h := m.table.Hash(&k)
	m.counts.finds++
	if _, ok := m.table.Find(&k, h); ok {
		panic(fmt.Sprintf("connection %d is there before it was opened", m.next))
	}
	if len(m.live) == cap(m.live) {
		i := m.live[m.rand.IntN(len(m.live))]
		m.counts.recycled++
		m.counts.cancels++
		m.wheel.Cancel(i)
		m.remove(i)
	}
	i, ok := m.table.Insert(&k, h)
	if !ok {
		panic("a table that is not full takes no connection")
	}
	m.counts.inserts++
	m.number[i], m.deadline[i] = m.next, m.tick+m.age()
	m.place[i] = uint32(len(m.live))
	m.live = append(m.live, i)
	m.arm(i)
	m.next++
}

// checkpoint holds the figures that must not change with time.
type checkpoint struct {
	entries  int
	probes   table.Probes
	resident int64   // bytes
	nanos    float64 // per step since the last one
}

func (m *mill) checkpoint() (c checkpoint, err error) {
	if n := m.counts.steps - m.sinceAt; n > 0 {
		c.nanos = float64(time.Since(m.since).Nanoseconds()) / float64(n)
	}
	c.entries, c.probes = m.table.Len(), m.table.Probes()
	if c.entries != len(m.live) {
		return c, fmt.Errorf("%d entries in the table, want %d", c.entries, len(m.live))
	}
	for _, i := range m.live {
		if !m.wheel.Armed(i) {
			return c, fmt.Errorf("record %d is not armed", i)
		}
	}
	c.resident, err = resident()
	m.since, m.sinceAt = time.Now(), m.counts.steps
	return c, err
}

// check holds c against the first checkpoint.
func (c checkpoint) check(first checkpoint) error {
	if c.probes.Longest > longestProbe || c.probes.Mean > meanProbe {
		return fmt.Errorf("longest probe %d groups, mean %.4f: want at most %d and %v", c.probes.Longest, c.probes.Mean, longestProbe, meanProbe)
	}
	if d := math.Abs(float64(c.probes.Passed - first.probes.Passed)); d > passedShare*float64(first.probes.Passed)+passedSpare {
		return fmt.Errorf("%d groups passed, %d at first: want a difference of at most %v %% and %d",
			c.probes.Passed, first.probes.Passed, 100*passedShare, passedSpare)
	}
	if c.resident > first.resident+memorySpare {
		return fmt.Errorf("resident memory %d bytes, %d at first: want at most %d more", c.resident, first.resident, memorySpare)
	}
	return nil
}

// empty removes everything: nothing may be left.
func (m *mill) empty() error {
	for len(m.live) > 0 {
		i := m.live[0]
		m.wheel.Cancel(i)
		m.remove(i)
	}
	if p := m.table.Probes(); m.table.Len() != 0 || p.Passed != 0 {
		return fmt.Errorf("emptied, the table has %d entries and %d groups passed", m.table.Len(), p.Passed)
	}
	if n, more := m.wheel.Advance(m.tick+wheel.MaxAhead, m.due[:]); n != 0 || more {
		return fmt.Errorf("emptied, the wheel pops %d indices (more: %v)", n, more)
	}
	return nil
}

// resident returns VmRSS of this process in bytes (proc_pid_status(5)).
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no VmRSS")
}
