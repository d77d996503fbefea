package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// Stream holds the hot state of one direction: the fields that nearly every packet of it, or of the reverse
// direction, reads or writes. One cache line of 64 bytes. A Stream without packets is not a stream: it is neither
// counted nor exported.
type Stream struct {
	lastTime  int64 // ns, latest packet; never while there is none
	ackTime   int64 // ns, when lastAck last advanced
	secondEnd int64 // ns, when the current second ends; the first begins at the first packet
	bytes     uint64
	packets   uint64
	nxt       parse.Seq // highest end seen: the next expected sequence number
	contig    parse.Seq // everything before it has been seen or acknowledged; nxt while no hole is open
	lastAck   parse.Seq // of the latest segment with ACK
	isn       parse.Seq // initial sequence number; in mid-stream the first one minus 1
	lastWin   uint16    // window of the latest packet as on the wire
	flags     flags
	wscale    int8  // shift this side sent: 0..14, scaleUnknown or scaleOff
	timed     uint8 // how many stretches wait for their ACK, and timedAmbiguous

	secondStartHigh uint8 // bits 32 to 39 of what Detail.secondStart begins
	rateBytesHigh   uint8 // likewise of Detail.rateBytes
}

// Detail holds the rest of a direction. 192 bytes: segments in order touch the first cache line, those of a sender with
// much in flight the second, too, other events the third.
type Detail struct {
	InOrder
	InFlight
	Eventual
}

// InOrder holds what segments in order touch, and the ACKs of the reverse direction. 64 bytes.
type InOrder struct {
	gap         moments // ns between packets
	size        moments // payload bytes of packets with payload
	delay       moments // ns
	minDelay    period  // of exact samples; above maxDelay while there is none
	maxDelay    period
	gapN        uint8
	sizeN       uint8
	delayN      uint8
	rateN       uint8
	secondStart uint32 // Stream.bytes when the current second began, the lower 32 of 40 bits

	base   int64 // ns, what the stretches' times count from: the first segment since there was none, or later
	newest stretch
}

// InFlight holds what several stretches in flight touch, and the end of a second. 64 bytes.
type InFlight struct {
	older     [timedStretches - 1]stretch // before the newest one, the oldest first
	rate      moments                     // bits per second, over rateAverageLen
	rateBytes uint32                      // payload bytes in the last complete second, the lower 32 of 40 bits
	seconds   uint32                      // that are complete, since the first packet
}

// Eventual holds what open holes, events and scrapes touch. 64 bytes.
type Eventual struct {
	ambiguous span    // what was sent twice or came out of order: its ACK measures no round trip
	ended     elapsed // from the first packet to the FIN or RST that finalized the stream
	hole      holes   // means nothing while no hole is open

	retransmits   uint32
	outOfOrder    uint32
	duplicateAcks uint32
	gaps          uint32
	zeroWindows   uint32
	resets        uint32
	resync        parse.Seq // end of the latest unacceptable segment; or with lastRST a window
}

type flags uint16

const (
	nxtKnown flags = 1 << iota
	ackKnown
	isnKnown
	finalized     // a FIN of this direction or a RST was seen and no new data since
	lastKeepAlive // the latest packet was a keep-alive
	lastProbe     // the latest packet was a zero-window probe
	lastSYN       // the latest packet was a SYN or SYN+ACK: its window is not scaled
	firstEmpty    // the latest packet was the first one, and took no sequence space
	synSent       // a SYN without ACK was seen
	synAckSent    // a SYN+ACK was seen
	fastPath      // the next segment may take the fast path through Account
	resync        // Detail.resync is set
	lastRST       // the latest packet was a RST that has ended the connection, or the only kind: its window is in Detail.resync
	dupOnce       // dupRun: duplicate ACKs since the ack number changed. One,
	dupTwice      // or two and more
	dupRun        = dupOnce | dupTwice
	stamped       = dupTwice << 1 // the segment that opened the newest hole had a timestamp
)

// Values of Stream.wscale besides shifts.
const (
	scaleUnknown = -1 // no handshake captured
	scaleOff     = -2 // a SYN or SYN+ACK came without the option (RFC 7323 section 2.2)
)

// never is the lastTime of a stream without packets: so far ahead that no age has passed.
const never = math.MaxInt64 / 2

// Conn is both directions of a connection. The side that the table's ordered key names first has
// index 0. 536 bytes: the shared part, and of each direction the hot line and the rest.
type Conn struct {
	Tag        uint32    // the owner's: nothing here reads it, and Reset leaves it
	synLow     uint32    // of synTime, bits 0 to 31
	handshake  handshake // handshake RTT, if there is one
	pendingISN parse.Seq // of a SYN that waits, or of the attempt before this one: see state
	synHigh    uint16    // of synTime, bits 32 to 47
	pendingWin uint16
	pendingWS  uint8 // window scale plus scaleShift, and pendingAgain
	state      connState
	marks      [2]uint8 // numbers of the latest batches with a segment without payload and with, see Mark
	side       [2]side
}

// side is one direction of a connection: all that Account needs of it stands at one address.
type side struct {
	hot  Stream
	cold Detail
}

type connState uint8

const (
	synSeen     connState = 1 << iota // synTime is set
	opener                            // by direction 1
	established                       // a segment without SYN and RST was seen
	pending0                          // a SYN of direction 0 waits for confirmation
	pending1
	heard      // since then the other side has sent something
	earlier    // pendingISN is the number of an attempt of direction opener before this one
	repeated   // a SYN or SYN+ACK was seen twice, or SYNs with two numbers: the handshake measures nothing
	anyPending = pending0 | pending1
)

// Sizes that the packet path counts on: the hot half is one cache line, of the rest segments in order
// touch one, and both directions together leave 40 bytes of a record of nine lines for the key.
const (
	StreamSize  = 64
	InOrderSize = 64
	DetailSize  = 192
	ConnSize    = 536
)

// Mark notes a segment of batch number n, isData being 1 if it has payload and 0 if not, nothing else.
// It returns 1 if the segment has payload and one without was noted of the same batch before, or, by
// chance, of one with the same number.
func (c *Conn) Mark(n uint8, isData uint32) (after uint32) {
	if c.marks[0] == n {
		after = 1
	}
	c.marks[isData] = n
	return after & isData
}

// Reset makes c a connection without packets. Its Tag stays.
func (c *Conn) Reset() {
	*c = Conn{Tag: c.Tag}
	for i := range c.side {
		c.side[i].hot.lastTime = never
		c.side[i].hot.wscale = scaleUnknown
	}
}

// Live reports how many of the two directions are streams, and how many of those are active.
func (c *Conn) Live() (streams, active int) {
	for i := range c.side {
		if c.side[i].hot.packets != 0 {
			streams++
			if c.side[i].hot.flags&finalized == 0 {
				active++
			}
		}
	}
	return streams, active
}

// Established reports whether anything but SYNs was seen.
func (c *Conn) Established() bool { return c.state&established != 0 }

// Bytes returns a direction's payload bytes.
func (c *Conn) Bytes(dir int) uint64 { return c.side[dir&1].hot.bytes }

// Packets returns a direction's packets; 0: that direction is not a stream.
func (c *Conn) Packets(dir int) uint64 { return c.side[dir&1].hot.packets }
