// Package capture drives the way of a packet: it walks ring blocks, decodes frames, finds each
// connection's record, accounts the segment, and lets old streams go.
//
// A Worker does that work and knows no socket and no clock: blocks, frames and times are handed
// to it, so it serves live capture, files, tests and benchmarks alike. It belongs to one
// goroutine. A Capture runs one Worker over a ring on a goroutine of its own, opens the ring again
// when its interface has gone away, and hands snapshots to any goroutine.
//
// There is no lock on the packet path. A reader posts a request and the worker fills it in small
// pieces between two visits to the ring.
package capture
