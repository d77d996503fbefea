// Package parse turns the bytes of one captured frame into a Segment: the addresses, ports and TCP header
// fields that the accounting needs.
//
//	var seg parse.Segment
//	if why := parse.Frame(parse.LinkEthernet, data, wireLen, &seg); why != parse.OK {
//		skipped[why]++
//	}
//
// A frame is decoded layer by layer, each in a function of its own:
//
//	Frame ─┬─ Ordinary: the fast path, IPv4 without options over Ethernet, all layers at once
//	       └─ link header ─► VLAN tags, PPPoE, MPLS ─► IPv4, or IPv6 and its extension headers ─► TCP
//	                                     ▲                       ▲                        │
//	                                     └───────────────────────┴── Decoder: tunnels ◄── other protocols
//
// A [Decoder] goes on where Frame ends at another protocol than TCP, if that is one of its [Tunnels]: GRE, ERSPAN, IP in
// IP, VXLAN, GENEVE or GTP-U, at most [MaxTunnels] within one another.
//
// It reads at fixed offsets, keeps no state, allocates nothing and never panics, whatever the bytes. A frame
// that holds no segment gets a [Reason], so that every skipped frame can be counted.
//
// The result:
//
//   - [Flow] identifies the connection, both directions alike, and the direction of the segment.
//   - [Segment] is the one of the innermost packet.
//   - [VLANs], which [FrameVLANs] returns for those who tell VLANs apart, may become a part of its identity.
//   - [Seq] compares sequence numbers on their circle.
//   - [Options] holds the TCP options that the analysis needs, in 32 bits.
//
// The package knows no socket, no clock and no metric. Any goroutine may call it with its own Segment.
package parse
