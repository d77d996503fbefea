package lab

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Checker holds the answers of one exporter process, its scrapes or what -read prints, against what is to hold
// for each of them, whatever the test is about:
//
//   - no series is in an answer twice, and no stream is, not even in two states;
//   - everything is UTF-8: names, labels, help;
//   - no counter falls from one answer to the next: those of the process as long as it runs, those of a stream
//     as long as it lives.
//
// It reads the text line by line, without a parser, 500 MB a second (BenchmarkChecker), and keeps 200 bytes a stream,
// so that it can run beside a test of an exporter with very many streams. Series are
// compared as they are written; one that comes again with its labels in another order is ParseMetrics' to find.
//
// Its methods may be called at the same time. The zero value is ready.
type Checker struct {
	mu       sync.Mutex
	families map[string]*family
	slots    int                // of counters, given out so far
	latest   *Answer            // with streams, of the complete ones
	totals   map[string]reading // of the process
}

// family holds what is derived from a per-stream family's name.
type family struct {
	bit       int // in life.seen
	slot      int // in life.counters; -1: no counter
	perStream bool
}

const (
	maxFamilies = 64 // per stream
	maxCounters = 16

	uptimeFamily = "tcp_stream_uptime_seconds"
	firstFamily  = "tcp_first_packet_timestamp_seconds"

	// maxFaults are named of one answer.
	maxFaults = 5
)

// reading is a counter's value in an answer.
type reading struct {
	value       float64
	begin, done time.Time
}

// life is a stream in an answer.
type life struct {
	key       uint64 // hash of its labels but the state
	seen      uint64 // its families so far
	older     int32  // its place in the older answer; -1: it is not there
	finalized bool
	uptime    float64 // seconds; NaN: not known
	first     float64 // seconds since 1970; NaN: not known
	counters  [maxCounters]float64
}

// fall is a counter of a stream that is below that of the older answer.
type fall struct {
	life    int32
	series  string
	was, is float64
}

// Answer is one answer that is being read.
type Answer struct {
	c           *Checker
	older       *Answer // whose streams were there before
	begin, done time.Time
	incomplete  []byte // a line, without its end so far

	name   []byte // of the latest line
	family *family
	lives  []life
	places map[uint64]int32 // by key
	next   int              // of lives: the families have the streams in the same order
	totals map[string]float64
	falls  []fall

	faults []error
	more   int
}

var seed = maphash.MakeSeed()

// Answer begins an answer that was asked for at begin and began to come at done: the exporter takes its snapshot
// before it sends the first byte. Write takes the text, Close returns its faults.
func (c *Checker) Answer(begin, done time.Time) *Answer {
	a := &Answer{c: c, begin: begin, done: done, totals: make(map[string]float64)}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Of two answers that were asked for at the same time either may be the older one.
	if l := c.latest; l != nil && !l.done.After(begin) {
		a.older = l
		a.lives, a.places = make([]life, 0, len(l.lives)), make(map[uint64]int32, len(l.lives))
	} else {
		a.places = make(map[uint64]int32)
	}
	return a
}

// Write takes the next part of the text. It returns no error.
func (a *Answer) Write(b []byte) (int, error) {
	n := len(b)
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			a.incomplete = append(a.incomplete, b...)
			return n, nil
		}
		line := b[:end]
		if len(a.incomplete) > 0 {
			a.incomplete = append(a.incomplete, line...)
			line = a.incomplete
		}
		a.line(line)
		a.incomplete = a.incomplete[:0]
		b = b[end+1:]
	}
}

// line takes one line without its end.
func (a *Answer) line(b []byte) {
	if !utf8.Valid(b) {
		a.fault("%q is not UTF-8", b)
	}
	if len(b) == 0 || b[0] == '#' {
		return
	}
	end := bytes.LastIndexByte(b, ' ') // label values may have spaces
	if end < 0 {
		a.fault("%q is no series and its value", b)
		return
	}
	series, value := b[:end], b[end+1:]
	name, labels, _ := bytes.Cut(series, []byte("{"))
	if a.family == nil || !bytes.Equal(name, a.name) {
		a.family = a.c.familyOf(string(name), labels)
		a.name = append(a.name[:0], name...)
	}
	if a.family.perStream {
		a.stream(series, labels, value)
		return
	}
	if _, twice := a.totals[string(series)]; twice {
		a.fault("%s is there twice", series)
	}
	a.totals[string(series)] = number(value)
}

// familyOf returns the family of a name. labels are those of one of its series.
func (c *Checker) familyOf(name string, labels []byte) *family {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.families[name]
	if f == nil {
		f = &family{bit: len(c.families), slot: -1, perStream: bytes.Contains(labels, []byte(`src_ip="`))}
		if !f.perStream {
			return f
		}
		if isCounter(name) && c.slots < maxCounters {
			f.slot, c.slots = c.slots, c.slots+1
		}
		if c.families == nil {
			c.families = make(map[string]*family)
		}
		c.families[name] = f
	}
	return f
}

// isCounter reports whether the series of a name never fall.
func isCounter(name string) bool {
	for _, end := range []string{"_total", "_count", "_sum", "_bucket"} {
		if strings.HasSuffix(name, end) && name != "tcp_stream_count" { // a gauge
			return true
		}
	}
	return false
}

// stream takes a series of a stream.
func (a *Answer) stream(series, labels, value []byte) {
	// A stream stays the same one when its state changes.
	rest, state := labels, []byte(nil)
	const label = `state="`
	key := uint64(0)
	if at := bytes.LastIndex(labels, []byte(label)); at >= 0 {
		state, rest, _ = bytes.Cut(labels[at+len(label):], []byte(`"`))
		key = maphash.Bytes(seed, labels[:at]) * 31
	}
	key += maphash.Bytes(seed, rest)
	finalized := string(state) == "finalized"

	place := int32(a.next)
	if a.next >= len(a.lives) || a.lives[a.next].key != key {
		var known bool
		if place, known = a.places[key]; !known {
			place = a.enter(key, finalized)
		}
	}
	a.next = int(place) + 1
	s, f := &a.lives[place], a.family
	if f.bit >= maxFamilies {
		a.fault("%s: more than %d families of streams, raise maxFamilies", series, maxFamilies)
		return
	}
	switch {
	case s.seen&(1<<f.bit) == 0 && s.finalized == finalized:
	case s.finalized != finalized:
		a.fault("%s: the stream is there in another state as well", series)
		return
	default:
		a.fault("%s is there twice", series)
		return
	}
	s.seen |= 1 << f.bit
	switch v := number(value); {
	case f.slot >= 0:
		s.counters[f.slot] = v
		if s.older < 0 {
			break
		}
		if o := &a.older.lives[s.older]; o.seen&(1<<f.bit) != 0 && !(v >= o.counters[f.slot]) {
			a.falls = append(a.falls, fall{place, string(series), o.counters[f.slot], v})
		}
	case string(a.name) == uptimeFamily:
		s.uptime = v
	case string(a.name) == firstFamily:
		s.first = v
	}
}

// enter adds a stream.
func (a *Answer) enter(key uint64, finalized bool) int32 {
	s := life{key: key, older: -1, finalized: finalized, uptime: math.NaN(), first: math.NaN()}
	if a.older != nil {
		if at, there := a.older.places[key]; there {
			s.older = at
		}
	}
	place := int32(len(a.lives))
	a.lives = append(a.lives, s)
	a.places[key] = place
	return place
}

// Close ends the answer, which is complete, and returns its faults.
func (a *Answer) Close() error {
	if len(a.incomplete) > 0 {
		a.fault("%q: the last line has no end", a.incomplete)
	}
	for _, f := range a.falls {
		if s := &a.lives[f.life]; a.same(s, &a.older.lives[s.older]) {
			a.fault("%s fell from %v to %v", f.series, f.was, f.is)
		}
	}
	a.falls, a.older = nil, nil // an answer that is kept must not keep the one before it
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	for series, v := range a.totals {
		name, _, _ := strings.Cut(series, "{")
		if !isCounter(name) {
			continue
		}
		was, known := a.c.totals[series]
		if known && !was.done.After(a.begin) && !(v >= was.value) {
			a.fault("%s fell from %v to %v", series, was.value, v)
		}
		if !known || a.begin.After(was.begin) {
			if a.c.totals == nil {
				a.c.totals = make(map[string]reading)
			}
			a.c.totals[series] = reading{v, a.begin, a.done}
		}
	}
	// Without a time no stream can be identified: the answer before stays the one to compare with.
	timed := len(a.lives) == 0 || !math.IsNaN(a.lives[0].uptime) || !math.IsNaN(a.lives[0].first)
	if l := a.c.latest; timed && (l == nil || a.begin.After(l.begin)) {
		a.c.latest = a
	}
	return a.err()
}

// same reports whether s, of this answer, is certain to be the stream that o was in the older one: addresses and
// ports may have been used again, or a stream may have been silent for its age and come back, and then its
// counters start at zero. The time of the first packet distinguishes them where it is exported. Where it is not,
// the uptime does, which counts from that packet, to now or to the end of the stream. s is the same if
//
//   - both are active, and now less the uptime is the same time for both, as exactly as the time of a snapshot is
//     known: between the request and the first byte of its answer;
//   - both are finalized and have the same uptime, to the nanosecond;
//   - s, by its uptime, began maxLag before the older answer: what was captured by then had been read.
//
// Anything else may be another stream: one that has ended, and lived for no longer than maxLag before the older
// answer. Among answers that come every 100 ms that is the end of streams that lived for a second.
func (a *Answer) same(s, o *life) bool {
	const (
		maxLag   = time.Second          // between a packet's arrival and its accounting, on a busy machine
		rounding = 2 * time.Millisecond // of timestamps, and of a snapshot that is copied piece by piece
	)
	if !math.IsNaN(s.first) && !math.IsNaN(o.first) {
		return math.Abs(s.first-o.first) <= rounding.Seconds()
	}
	if math.IsNaN(s.uptime) || math.IsNaN(o.uptime) {
		return false
	}
	if s.finalized && o.finalized && s.uptime == o.uptime {
		return true
	}
	since, before := seconds(s.uptime), seconds(o.uptime)
	earliest, latest := a.begin.Add(-since), a.done.Add(-since) // of its first packet
	if latest.Before(a.older.begin.Add(-maxLag)) {
		return true
	}
	return !s.finalized && !o.finalized &&
		!earliest.After(a.older.done.Add(rounding-before)) && !latest.Before(a.older.begin.Add(-rounding-before))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// number reads a value. Nearly all are whole numbers of few digits.
func number(b []byte) float64 {
	if len(b) > 0 && len(b) <= 15 { // exact in a float64
		n := uint64(0)
		for _, c := range b {
			if c < '0' || c > '9' {
				n = math.MaxUint64
				break
			}
			n = n*10 + uint64(c-'0')
		}
		if n != math.MaxUint64 {
			return float64(n)
		}
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func (a *Answer) fault(format string, args ...any) {
	if len(a.faults) >= maxFaults {
		a.more++
		return
	}
	a.faults = append(a.faults, fmt.Errorf(format, args...))
}

// err returns all faults in one error, or nil.
func (a *Answer) err() error {
	if a.more > 0 {
		return errors.Join(errors.Join(a.faults...), fmt.Errorf("and %d faults more", a.more))
	}
	return errors.Join(a.faults...)
}
