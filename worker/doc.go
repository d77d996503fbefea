// Package worker accounts frames: it decodes them, finds each connection's record, accounts the segment, lets old
// streams go, makes room in a full table, and copies streams for readers.
//
// A Worker knows no socket and no clock. Frames and times are handed to it, so that it serves live capture, capture
// files, tests and benchmarks alike. It belongs to one goroutine and allocates everything when it is made.
//
// Packets go its way in batches of BatchSize, one short loop for each step, so that the cache misses of a batch
// overlap. Functions of the packet path are marked noinline: they stay separate, so that the profile-guided build
// inlines their callees into them and the registers are theirs. "go build -gcflags=-m -pgo=default.pgo ./worker"
// shows what is inlined.
package worker
