// Package parse turns the bytes of one captured frame into a Segment: the addresses, ports and
// TCP header fields that the accounting needs.
//
// It reads at fixed offsets, keeps no state, allocates nothing and never panics, whatever the
// bytes. What it cannot use it names with a Reason, so that every skipped frame can be counted.
// It knows no socket, no clock and no metric; any goroutine may call it with its own Segment.
package parse
