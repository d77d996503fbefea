// Package stream accounts TCP segments: one Conn holds the two streams (directions) of a
// connection in a fixed number of bytes, and Account brings one segment to it.
//
// The figures follow the definitions of docs/analysis.md and of the RFCs named beside them (9293, 5681,
// 5961, 6298, 7323, 8985); docs/tshark.md compares them with Wireshark's. The package knows
// no table, no socket and no clock: times are handed in, in nanoseconds on any scale that does
// not jump. Nothing here allocates. A Conn belongs to one goroutine at a time.
package stream
