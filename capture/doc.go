// Package capture runs workers on rings. A Capture takes blocks out of one ring, has its worker account their frames
// and let old streams go, opens the ring again when its interface has gone away, and hands snapshots to any
// goroutine. Workers share out one interface's traffic among several of them.
//
// Each Capture belongs to one goroutine. There is no lock on the packet path: a reader posts a request, and the
// capture fills it in small pieces between two visits to the ring.
package capture
