package gen

// step is the next packet of a connection.
type step uint8

const (
	stepSYN          step = iota // client: SYN
	stepSYNACK                   // server: SYN, ACK
	stepHandshakeACK             // client: ACK
	stepEstablished              // data and ACKs
	stepFIN                      // client: FIN, ACK
	stepFINACK                   // server: FIN, ACK
	stepLastACK                  // client: ACK
	stepRST                      // client: RST, ACK
	stepClosed                   // nothing
)

// conn is one connection with the counts of its two streams; client to server is "forward". It
// fills one cache line, because a packet of a random connection costs the generator one miss.
type conn struct {
	client, server         uint32
	clientPort, serverPort uint16
	clientSeq, serverSeq   uint32 // each side's next sequence number
	acked                  uint32 // the server's acknowledgment number; the client's is serverSeq
	ackDebt                uint32 // ACKs owed to the client, in 1/oneACK
	forged                 uint32 // packets forged in the client's name; not in forward
	step                   step
	reopen                 bool // a new connection follows in this slot
	forwardEnd, reverseEnd end

	forward, reverse uint64 // packets
	data             uint64 // of forward: packets with payload
}

// end is the way a stream ended.
type end uint8

const (
	endOpen end = iota
	endFIN
	endRST
)

func (e end) String() string { return [...]string{"open", "fin", "rst"}[e] }

// Clients are in 10.0.0.0/8 with ports from 32768 (the usual ephemeral range), servers are 16
// addresses in 198.18.0.0/15, which RFC 2544 sets aside for benchmarks, at port 443.
const (
	clientNet    = 10 << 24
	clientBits   = 24
	portBits     = 15
	firstPort    = 1 << portBits
	serverNet    = 198<<24 | 18<<16
	servers      = 16
	serverPort   = 443
	tupleBits    = clientBits + portBits
	tupleModulus = 1 << tupleBits
)

// tuple gives the n-th connection its addresses and ports. Multiplying by an odd number is a
// bijection modulo a power of two, so that 2^39 connections follow one another before a pair of
// client address and port comes again, and neighbours in time are far apart in address.
func (c *conn) tuple(n, odd, offset uint64) {
	t := (n*odd + offset) % tupleModulus
	c.client = clientNet | uint32(t>>portBits)
	c.clientPort = firstPort | uint16(t%firstPort)
	c.server = serverNet | uint32(n%servers+1)
	c.serverPort = serverPort
}
