package gen

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// The oracle: a slow decoder of frames and a model of what two honest hosts could have sent. It
// shares no code with the generator.

type packet struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    string // of "FSRPA", in this order
	payload  int
}

// decode takes a frame apart by the RFCs and returns what is wrong with it.
func decode(frame []byte, tcpChecksum bool) (p packet, err error) {
	if len(frame) < 54 || frame[12] != 8 || frame[13] != 0 {
		return p, fmt.Errorf("no IPv4 in %x", frame)
	}
	ip := frame[14:]
	total := int(ip[2])<<8 | int(ip[3])
	if ip[0] != 0x45 || ip[9] != 6 || total != len(ip) {
		return p, fmt.Errorf("IPv4 header %x of a packet of %d bytes", ip[:20], len(ip))
	}
	if s := onesSum(ip[:20]); s != 0xffff {
		return p, fmt.Errorf("IPv4 checksum: sum %#x", s)
	}
	tcp := ip[20:]
	dataOff := int(tcp[12]>>4) * 4
	if dataOff < 20 || dataOff > len(tcp) {
		return p, fmt.Errorf("data offset %d of %d", dataOff, len(tcp))
	}
	pseudo := append([]byte{}, ip[12:20]...)
	pseudo = append(pseudo, 0, 6, byte(len(tcp)>>8), byte(len(tcp)))
	if s := onesSum(append(pseudo, tcp...)); tcpChecksum && s != 0xffff {
		return p, fmt.Errorf("TCP checksum: sum %#x", s)
	}
	src, _ := netip.AddrFromSlice(ip[12:16])
	dst, _ := netip.AddrFromSlice(ip[16:20])
	p.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	p.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	p.seq, p.ack = binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:])
	for i, letter := range []string{"F", "S", "R", "P", "A"} {
		if tcp[13]>>i&1 != 0 {
			p.flags += letter
		}
	}
	p.payload = len(tcp) - dataOff
	return p, nil
}

func onesSum(b []byte) uint32 {
	var s uint32
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return s
}

// side is one stream in the model.
type side struct {
	packets, bytes uint64
	seen           bool
	next           uint32 // sequence number expected next
	ack            uint32 // last acknowledgment number sent
	acked          bool
	fin, rst, syn  bool
}

type ends struct{ src, dst netip.AddrPort }

// model checks the packets of a run one after another.
type model struct {
	sides  map[ends]*side
	counts Counts
	flood  bool // a SYN from outside of the clients' net belongs to a flood
}

func newModel() *model { return &model{sides: map[ends]*side{}} }

var clients = netip.MustParsePrefix("10.0.0.0/8")

func (m *model) add(frame []byte, tcpChecksum bool) error {
	p, err := decode(frame, tcpChecksum)
	if err != nil {
		return err
	}
	m.counts.Packets++
	m.counts.WireBytes += uint64(len(frame))
	m.counts.PayloadBytes += uint64(p.payload)
	flags := strings.ReplaceAll(p.flags, "P", "")
	if m.flood && flags == "S" && !clients.Contains(p.src.Addr()) {
		m.counts.Flood++
		return nil
	}
	s, peer := m.side(p.src, p.dst), m.side(p.dst, p.src)
	if s.fin && p.payload > 0 || s.rst {
		return fmt.Errorf("%+v after the end of its stream", p)
	}
	if s.seen && p.seq != s.next {
		return fmt.Errorf("%+v: sequence number %d expected", p, s.next)
	}
	if strings.Contains(flags, "A") && peer.seen && int32(p.ack-peer.next) > 0 {
		return fmt.Errorf("%+v acknowledges what was never sent, beyond %d", p, peer.next)
	}
	// An ACK without anything else must acknowledge something new, or it is a duplicate.
	if flags == "A" && p.payload == 0 && s.acked && p.ack == s.ack {
		return fmt.Errorf("%+v repeats an ACK", p)
	}
	if s.acked && int32(p.ack-s.ack) < 0 {
		return fmt.Errorf("%+v takes back its ACK of %d", p, s.ack)
	}
	length := uint32(p.payload)
	switch {
	case flags == "S":
		if s.seen || peer.seen {
			return fmt.Errorf("%+v on known addresses and ports", p)
		}
		m.counts.SYN++
		s.syn = true
		length++
	case flags == "SA":
		if s.seen || !peer.syn || p.ack != peer.next {
			return fmt.Errorf("%+v does not answer a SYN", p)
		}
		m.counts.SYNACK++
		length++
	case flags == "FA":
		m.counts.FIN++
		s.fin = true
		length++
	case flags == "RA":
		m.counts.RST++
		m.counts.Closed++
		s.rst = true
	case flags == "A" && p.payload > 0:
		m.counts.Data++
	case flags == "A":
		m.counts.ACK++
		switch {
		case s.fin:
			m.counts.Closed++
		case s.syn && s.packets == 1:
			m.counts.Opened++
		}
	default:
		return fmt.Errorf("%+v: nobody sends these flags", p)
	}
	s.seen, s.next = true, p.seq+length
	if strings.Contains(flags, "A") {
		s.ack, s.acked = p.ack, true
	}
	s.packets++
	s.bytes += uint64(p.payload)
	return nil
}

func (m *model) side(src, dst netip.AddrPort) *side {
	s := m.sides[ends{src, dst}]
	if s == nil {
		s = &side{}
		m.sides[ends{src, dst}] = s
	}
	return s
}

// streams writes what Generator.WriteStreams should have written, without order.
func (m *model) streams() map[string]bool {
	lines := map[string]bool{}
	for e, s := range m.sides {
		if s.packets == 0 {
			continue
		}
		end := "open"
		if s.fin {
			end = "fin"
		}
		if s.rst {
			end = "rst"
		}
		lines[fmt.Sprintf("%s\t%d\t%s\t%d\t%d\t%d\t%s\t0", e.src.Addr(), e.src.Port(), e.dst.Addr(), e.dst.Port(), s.packets, s.bytes, end)] = true
	}
	return lines
}

// compareStreams compares what writeStreams wrote with the model's streams.
func compareStreams(t *testing.T, got string, m *model) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if lines[0] != "src\tsport\tdst\tdport\tpackets\tpayload_bytes\tend\tforged" {
		t.Errorf("first line %q", lines[0])
	}
	want := m.streams()
	for _, line := range lines[1:] {
		if !want[line] {
			t.Fatalf("stream %q was not seen on the wire like this", line)
		}
		delete(want, line)
	}
	if len(want) != 0 {
		t.Fatalf("%d streams are missing, like %v", len(want), want)
	}
}
