// Package pcapgen makes capture files of ordinary TCP traffic for benchmarks and profiles: many
// connections side by side that shake hands, send bursts of full segments with timestamps,
// acknowledge every second one, lose a segment now and then, close, and begin again. The same seed
// gives the same file.
package pcapgen

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"

	"tcp-stream-exporter/internal/packet"
)

// Config describes the traffic.
type Config struct {
	Connections int    // at the same time
	Packets     int    // in all
	Rate        int    // packets per second of capture time
	Burst       int    // how many packets of one connection follow one another at most
	SnapLen     int    // bytes that are kept of a packet
	Seed        uint64 // of the random numbers
}

// Default is a million packets of a thousand connections.
var Default = Config{Connections: 1000, Packets: 1_000_000, Rate: 100_000, Burst: 8, SnapLen: 128, Seed: 1}

// mss is the payload of a full segment: 1500 bytes without IP and TCP headers and timestamps.
const mss = 1448

// Write writes a pcap file with times in ns.
func Write(w io.Writer, cfg Config) error {
	out := bufio.NewWriterSize(w, 1<<20)
	header := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d)
	header = binary.LittleEndian.AppendUint16(header, 2)
	header = binary.LittleEndian.AppendUint16(header, 4)
	header = append(header, make([]byte, 8)...)
	header = binary.LittleEndian.AppendUint32(header, uint32(cfg.SnapLen))
	header = binary.LittleEndian.AppendUint32(header, 1) // Ethernet
	if _, err := out.Write(header); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(cfg.Seed, 0))
	conns := make([]*conn, cfg.Connections)
	for i := range conns {
		conns[i] = newConn(r, i)
	}
	now := int64(1_700_000_000_000_000_000)
	step := int64(1_000_000_000 / cfg.Rate)
	for n := 0; n < cfg.Packets; {
		c := conns[r.IntN(len(conns))]
		for range min(1+r.IntN(cfg.Burst), cfg.Packets-n) {
			frame := c.next(r).Ethernet()
			kept := frame[:min(len(frame), cfg.SnapLen)]
			record := binary.LittleEndian.AppendUint32(nil, uint32(now/1_000_000_000))
			record = binary.LittleEndian.AppendUint32(record, uint32(now%1_000_000_000))
			record = binary.LittleEndian.AppendUint32(record, uint32(len(kept)))
			record = binary.LittleEndian.AppendUint32(record, uint32(len(frame)))
			if _, err := out.Write(append(record, kept...)); err != nil {
				return err
			}
			now += step
			n++
		}
	}
	return out.Flush()
}

// conn is one connection: the packets it is about to send, and its numbers.
type conn struct {
	client, server netip.AddrPort
	number         int // connections so far on these addresses
	seq, ack       uint32
	rounds         int
	queue          []packet.TCP
}

func newConn(r *rand.Rand, i int) *conn {
	c := &conn{
		client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32768),
		server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 200)}), 443),
	}
	c.open(r)
	return c
}

// timestamps is the option that nearly every segment carries (RFC 7323 section 3.2), padded.
var timestamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}

func (c *conn) next(r *rand.Rand) packet.TCP {
	if len(c.queue) == 0 {
		if c.rounds == 0 {
			c.close()
			c.open(r)
		} else {
			c.round(r)
		}
	}
	p := c.queue[0]
	c.queue = c.queue[1:]
	return p
}

func (c *conn) push(fromServer bool, flags uint8, seq, ack uint32, payload int, options []byte) {
	p := packet.TCP{
		Src: c.client, Dst: c.server, Seq: seq, Ack: ack, Flags: flags,
		Window: 501, Options: options, Payload: payload,
	}
	if fromServer {
		p.Src, p.Dst = p.Dst, p.Src
	}
	c.queue = append(c.queue, p)
}

// open shakes hands from a new port. seq is the server's next number, ack the client's.
func (c *conn) open(r *rand.Rand) {
	c.number++
	c.client = netip.AddrPortFrom(c.client.Addr(), uint16(32768+c.number%28000))
	c.seq, c.ack = r.Uint32(), r.Uint32()
	c.rounds = 5 + r.IntN(200)
	syn := append([]byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3}, 7) // MSS, SACK, timestamps, window scale
	c.push(false, packet.SYN, c.ack-1, 0, 0, syn)
	c.push(true, packet.SYN|packet.ACK, c.seq-1, c.ack, 0, syn)
	c.push(false, packet.ACK, c.ack, c.seq, 0, timestamps)
}

func (c *conn) close() {
	c.push(true, packet.FIN|packet.ACK, c.seq, c.ack, 0, timestamps)
	c.push(false, packet.FIN|packet.ACK, c.ack, c.seq+1, 0, timestamps)
	c.push(true, packet.ACK, c.seq+1, c.ack+1, 0, timestamps)
}

// round is a request now and then, and a burst of the answer.
func (c *conn) round(r *rand.Rand) {
	c.rounds--
	if r.IntN(8) == 0 {
		n := 100 + r.IntN(400)
		c.push(false, packet.PSH|packet.ACK, c.ack, c.seq, n, timestamps)
		c.ack += uint32(n)
	}
	segments := 1 + r.IntN(10)
	lost := -1
	if r.IntN(50) == 0 {
		lost = r.IntN(segments)
	}
	hole := c.seq + uint32(lost*mss)
	for i := range segments {
		if i == lost {
			c.seq += mss
			continue
		}
		c.push(true, packet.ACK, c.seq, c.ack, mss, timestamps)
		c.seq += mss
		switch {
		case lost >= 0 && i > lost:
			c.push(false, packet.ACK, c.ack, hole, 0, timestamps) // duplicate
		case i%2 == 1:
			c.push(false, packet.ACK, c.ack, c.seq, 0, timestamps)
		}
	}
	if lost >= 0 {
		c.push(true, packet.ACK, hole, c.ack, mss, timestamps)
	}
	c.push(false, packet.ACK, c.ack, c.seq, 0, timestamps)
}
