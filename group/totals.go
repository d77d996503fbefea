package group

// Who sent the packets that a figure counts.
const (
	FromClient = iota // the client opened the connection
	FromServer
	Directions
)

// On which side of the capture point a time was spent.
const (
	ClientLeg = iota // between the capture point and the client
	ServerLeg
	Legs
)

// Why an established connection ended.
const (
	ClosedFIN      = iota
	ClosedByClient // RST of the client
	ClosedByServer // RST of the server
	ClosedTimeout
	ClosedRecycled // its record was needed for a new connection
	ClosedReasons
)

// Why a connection was never established.
const (
	FailedUnanswered = iota // SYNs without any reply
	FailedRefused           // RST instead of SYN+ACK
	FailedUnfinished        // SYN+ACK without the client's ACK, a RST of either side included
	FailedReasons
)

// Data counts what one side sent. Counters never fall.
type Data struct {
	Packets, Bytes       uint64 // segments; payload bytes, repeats included
	Retransmits          uint64 // as stream.View.Retransmits, without SYNs and SYN+ACKs
	RetransmittedBytes   uint64 // payload bytes of those
	HandshakeRetransmits uint64 // SYNs, SYN+ACKs sent again
	OutOfOrder           uint64
	Gaps                 uint64
	DuplicateAcks        uint64
	ZeroWindows          uint64
	Resets               uint64
}

// Totals holds the figures of one combination. All but the gauges count from the program's start and never fall.
type Totals struct {
	Data [Directions]Data

	Opened      uint64 // connections whose first packet was seen
	Established uint64 // of which anything but SYNs was seen from both sides
	Closed      [ClosedReasons]uint64
	Failed      [FailedReasons]uint64

	// Gauges: connections now.
	HalfOpen       uint64
	EstablishedNow uint64
	OneWay         uint64 // of which one direction was seen

	RTT       [Legs]Histogram // ns; each RTT sample by the side that sent the ACK
	Handshake [Legs]Histogram // ns; SYN to SYN+ACK: server leg; SYN+ACK to ACK: client leg

	// Of connections in Closed: from the first to the latest packet, and payload bytes of each side, which are counted
	// as soon as that side's stream has gone.
	Duration Durations
	Size     [Directions]Sizes
}

// BothWays reports whether a connection was seen in both directions. Without one there is no telling which ACKs are
// duplicates: that takes data outstanding the other way (RFC 5681 section 2, a).
func (t *Totals) BothWays() bool {
	// A connection that has moved here was established elsewhere.
	return t.Established != 0 || t.EstablishedNow != 0 || t.Closed != [ClosedReasons]uint64{} ||
		t.Data[FromClient].DuplicateAcks != 0 || t.Data[FromServer].DuplicateAcks != 0
}

// Row is one combination in a Reading.
type Row struct {
	Key
	Totals
}

// Reading holds a reader's copy of all combinations, of all workers, each once. Reused from call to call.
type Reading struct {
	Rows []Row
	// Overflow counts connections whose combination found no room, and which count under "other" instead.
	Overflow uint64
	// Capacity is for how many combinations there is room, without and with subnets; Used how many there are. Of several
	// workers, each of which has its own: those of one, and of the one that uses most.
	Capacity, Used [2]int

	more  *Reading    // see Merge
	index map[Key]int // likewise
}
