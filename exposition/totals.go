package exposition

import (
	"bytes"
	"strconv"
)

// Totals holds the figures of a capture that have no labels.
type Totals struct {
	ActiveStreams int64  // directions of connections that are not finalized
	Packets       uint64 // taken out of the ring
	Dropped       uint64 // by the kernel, for want of room in the ring
	Freezes       uint64 // of the ring's queue (TPACKET_V3)
}

// total is a family without labels.
type total struct {
	Header
	value func(*Totals) float64
}

// totals are the families of Totals, in the order of docs/metrics.md.
var totals = []total{
	{Header{"tcp_stream_count", "Streams (one direction of a connection) that are active, that is not finalized.", Gauge},
		func(t *Totals) float64 { return float64(t.ActiveStreams) }},
	{Header{"capture_packets_processed_total", "Packets taken out of the capture ring.", Counter},
		func(t *Totals) float64 { return float64(t.Packets) }},
	{Header{"capture_dropped_packets_total", "Packets that the kernel dropped because the capture ring had no room.", Counter},
		func(t *Totals) float64 { return float64(t.Dropped) }},
	{Header{"capture_queue_freezes_total", "Times that the kernel froze the capture queue because the ring was full (TPACKET_V3).", Counter},
		func(t *Totals) float64 { return float64(t.Freezes) }},
}

// totalsByName are the families of Totals in the order in which they are written.
var totalsByName = sortedByName(totals, func(t *total) string { return t.Name })

// TotalHeaders returns the headers of the families of Totals, in the order of docs/metrics.md.
func TotalHeaders() []Header {
	headers := make([]Header, len(totals))
	for i := range totals {
		headers[i] = totals[i].Header
	}
	return headers
}

// Each calls yield for each family of Totals, by name, with its value.
func (t *Totals) Each(yield func(h *Header, x float64)) {
	for i := range totalsByName {
		yield(&totalsByName[i].Header, totalsByName[i].value(t))
	}
}

// Encoded holds a family that somebody else has written, such as client_golang's encoder: its lines as
// they stand, header included.
type Encoded struct {
	Name  string
	Lines []byte
}

// appendHead appends what precedes the streams: the totals and the other families by name, as
// client_golang sorts those of one registry.
func appendHead(b []byte, c *Content) []byte {
	others := c.Others
	for i := range totalsByName {
		t := &totalsByName[i]
		for len(others) > 0 && others[0].Name < t.Name {
			b, others = append(b, others[0].Lines...), others[1:]
		}
		if !c.Selection.Includes(t.Name) {
			continue
		}
		b = appendHeader(b, &t.Header, c.Format)
		b = append(b, t.Name...)
		b = append(b, ' ')
		b = appendTotal(b, t.value(&c.Totals), c.Format)
		b = append(b, '\n')
	}
	for i := range others {
		b = append(b, others[i].Lines...)
	}
	return b
}

// appendTotal appends x as client_golang's encoders write it: the shortest text that reads back as x, in
// OpenMetrics never without a decimal point or an exponent. x is neither infinite nor NaN.
func appendTotal(b []byte, x float64, format Format) []byte {
	begin := len(b)
	b = strconv.AppendFloat(b, x, 'g', -1, 64)
	if format == OpenMetrics && !bytes.ContainsAny(b[begin:], "e.") {
		b = append(b, ".0"...)
	}
	return b
}
