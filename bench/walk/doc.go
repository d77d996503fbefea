// Package walk does the least that a reader of AF_PACKET with TPACKET_V3 must do: map the ring,
// take each block that the kernel has closed, step from frame to frame, give the block back.
// Captures are compared with it, and tests of this module read packets with it. It shares nothing
// with the exporter's own reader.
//
// A Ring belongs to one goroutine. Opened with a filter that accepts everything and cuts frames
// to the snap length, it holds every packet that the interface receives or sends.
package walk
