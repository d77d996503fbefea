// Package gen is a generator of TCP traffic over AF_PACKET: Ethernet/IPv4/TCP frames that look
// like many connections, with handshakes, sequence progress in both directions and ends, written
// to one interface as fast as one core can or at a given rate.
//
// It keeps exact counts of what it sent, per kind of packet and, on request, per stream (one
// direction of a connection), so that the figures of a capture on the other end can be compared
// number by number. Nothing is ever answered: both ends of each connection are played
// by the generator.
//
// New opens the socket in the network namespace of the calling thread; Run sends from a thread
// of its own and may be called once. A Generator belongs to one goroutine at a time.
//
// It writes to virtual interfaces only (veth, dummy, ifb, lo) unless Config.Force is set, and never
// reads a packet.
package gen
