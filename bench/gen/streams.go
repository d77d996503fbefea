package gen

import (
	"bufio"
	"io"
	"net/netip"
	"strconv"
)

// WriteStreams writes one line per stream that sent a packet: connections that ended first, in
// the order of their end (only with Config.KeepStreams), then the open ones. Flood packets belong
// to no stream. Columns, separated by tabs: src, sport, dst, dport, packets, payload_bytes,
// end (open, fin, rst: what this side sent last), forged (packets in this side's name that are
// not in the other columns).
func (g *Generator) WriteStreams(w io.Writer) error { return g.source.writeStreams(w) }

func (s *source) writeStreams(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<16)
	b.WriteString("src\tsport\tdst\tdport\tpackets\tpayload_bytes\tend\tforged\n") // bufio keeps the error for Flush
	var line []byte
	for _, conns := range [][]conn{s.gone, s.conns[:s.begun]} {
		for i := range conns {
			c := &conns[i]
			line = line[:0]
			if c.forward != 0 {
				line = appendStream(line, c.client, c.server, c.clientPort, c.serverPort)
				line = appendCounts(line, c.forward, c.data*uint64(s.dataLen), c.forwardEnd, c.forged)
			}
			if c.reverse != 0 {
				line = appendStream(line, c.server, c.client, c.serverPort, c.clientPort)
				line = appendCounts(line, c.reverse, 0, c.reverseEnd, 0)
			}
			b.Write(line)
		}
	}
	return b.Flush()
}

func appendStream(b []byte, src, dst uint32, srcPort, dstPort uint16) []byte {
	b = append(addr(src).AppendTo(b), '\t')
	b = append(strconv.AppendUint(b, uint64(srcPort), 10), '\t')
	b = append(addr(dst).AppendTo(b), '\t')
	return append(strconv.AppendUint(b, uint64(dstPort), 10), '\t')
}

func appendCounts(b []byte, packets, bytes uint64, e end, forged uint32) []byte {
	b = append(strconv.AppendUint(b, packets, 10), '\t')
	b = append(strconv.AppendUint(b, bytes, 10), '\t')
	b = append(append(b, e.String()...), '\t')
	return append(strconv.AppendUint(b, uint64(forged), 10), '\n')
}

func addr(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
