// Package tcpmodel holds a second, plain implementation of the figures that package stream computes of a
// connection: packets, bytes, retransmissions, out of order, gaps, duplicate ACKs, zero windows, resets and
// round-trip times.
//
// Its memory is unbounded: every hole in the sequence space is kept, with the time at which it was
// opened, and so is every segment that waits for its ACK. The figures of package stream, which keeps a fixed
// number of marks, can therefore be compared with those of a complete memory.
//
// Only tests use it. It does not model segments that no receiver accepts (RFC 9293 section 3.10.7.4), nor
// segments of unknown length: the traffic must contain neither.
package tcpmodel
