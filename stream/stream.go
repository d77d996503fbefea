package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// Stream is what nearly every packet of a direction, and of its reverse, reads or writes: one
// cache line of 64 bytes. A Stream with no packets is not a stream: it is neither counted nor
// exported.
type Stream struct {
	firstTime int64 // ns, first packet
	lastTime  int64 // ns, latest packet; never while there is none
	nxtTime   int64 // ns, when nxt last advanced
	bytes     uint64
	packets   uint64
	nxt       parse.Seq // highest end seen: the next expected sequence number
	contig    parse.Seq // highest end without a hole before it
	lastAck   parse.Seq // of the latest segment with ACK
	isn       parse.Seq // initial sequence number; in mid-stream the first one minus 1
	lastWin   uint16    // window of the latest packet as on the wire
	flags     flags
	dupRun    uint8 // duplicate ACKs since the ack number changed, saturating
	wscale    int8  // shift this side sent: 0..14, scaleUnknown or scaleOff
	timed     uint8 // segments that wait for their ACK: the oldest one's place, how many
	dirty     uint8 // bit i: the segment in place i was sent more than once (Karn)
}

// Detail is the rest of a direction: the moments that every packet adds to in the first 32 bytes,
// then what data segments, events and scrapes touch. 160 bytes.
type Detail struct {
	gap    moments // ns between packets
	size   moments // payload bytes of packets with payload
	winEnd int64   // ns, when the current one-second window ends; windows begin at firstTime
	gapN   uint8
	sizeN  uint8
	rateN  uint8
	delayN uint8
	resets uint32

	timed timedRing

	delay    moments // ns
	minDelay int64   // ns; meaningless while delayN is 0
	maxDelay int64   // ns

	winStart  uint64  // Stream.bytes when the current one-second window began
	rateBytes uint64  // payload bytes in the last complete window
	rate      moments // bits per second, window rateWindow

	retransmits   uint32
	outOfOrder    uint32
	duplicateAcks uint32
	gaps          uint32
	zeroWindows   uint32
	elsewhere     parse.Seq // end of the latest segment that strayed
	endTime       int64     // ns, the FIN or RST that finalized the stream
}

type flags uint16

const (
	nxtKnown flags = 1 << iota
	contigKnown
	ackKnown
	isnKnown
	finalized     // a FIN or RST was seen and no new data since
	lastKeepAlive // the latest packet was a keep-alive
	lastProbe     // the latest packet was a zero-window probe
	lastSYN       // the latest packet was a SYN or SYN+ACK: its window is not scaled
	smooth        // the next segment may take the short way through Account
	elsewhere     // Detail.elsewhere is set
)

// Values of Stream.wscale besides shifts.
const (
	scaleUnknown = -1 // no handshake captured
	scaleOff     = -2 // a SYN or SYN+ACK came without the option (RFC 7323 section 2.2)
)

// never is the lastTime of a stream without packets: so far ahead that no age has passed.
const never = math.MaxInt64 / 2

// Conn is both directions of a connection. The side that the table's ordered key names first has
// index 0. 472 bytes: the shared part, the two hot lines, the two cold parts.
type Conn struct {
	synTime    int64     // ns, latest SYN (with a pending SYN: that one)
	handshake  uint32    // handshake RTT in ns (see handshakeCoarse), at least 1; 0: not measured
	pendingISN parse.Seq // of a SYN on a live connection that nothing has confirmed yet
	pendingWin uint16
	pendingWS  int8
	state      connState
	marks      [2]uint16 // numbers of the latest batches with a segment without payload and with, see Mark
	hot        [2]Stream
	cold       [2]Detail
}

type connState uint8

const (
	synSeen     connState = 1 << iota // synTime is set
	established                       // a segment without SYN was seen
	pending0                          // a SYN of direction 0 waits for confirmation
	pending1
	ended      // a direction has expired after its FIN or RST
	anyPending = pending0 | pending1
)

// Sizes that the packet path counts on: the hot half is one cache line, and both halves together
// leave 40 bytes of a 512-byte record for the key.
const (
	StreamSize = 64
	DetailSize = 160
	ConnSize   = 472
)

// Mark notes a segment of batch number n, isData being 1 if it has payload and 0 if not, nothing else.
// It returns 1 if the segment has payload and one without was noted of the same batch before, or, by
// chance, of one with the same number.
func (c *Conn) Mark(n uint16, isData uint32) (after uint32) {
	if c.marks[0] == n {
		after = 1
	}
	c.marks[isData] = n
	return after & isData
}

// Reset makes c a connection without packets.
func (c *Conn) Reset() {
	*c = Conn{}
	for i := range c.hot {
		c.hot[i].lastTime = never
		c.hot[i].wscale = scaleUnknown
	}
}

// Live reports how many of the two directions are streams, and how many of those are active.
func (c *Conn) Live() (streams, active int) {
	for i := range c.hot {
		if c.hot[i].packets != 0 {
			streams++
			if c.hot[i].flags&finalized == 0 {
				active++
			}
		}
	}
	return streams, active
}

// Established reports whether anything but SYNs was seen.
func (c *Conn) Established() bool { return c.state&established != 0 }

// Bytes returns a direction's payload bytes.
func (c *Conn) Bytes(dir int) uint64 { return c.hot[dir&1].bytes }

// Packets returns a direction's packets; 0: that direction is not a stream.
func (c *Conn) Packets(dir int) uint64 { return c.hot[dir&1].packets }
