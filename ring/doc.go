// Package ring captures frames from a network interface through a Linux packet socket with a
// TPACKET_V3 ring: a shared mapping that the kernel fills block by block and that is read in place.
//
// A ring has one owner goroutine. It alone calls Next, Release, Wait and Close, and it alone reads
// the frames of a Block, which lie in the mapping until Release. Any goroutine may call Wake, Stats
// and IfIndex, also after Close. The owner's loop is:
//
//	for {
//		b, ok := r.Next()
//		if !ok {
//			if err := r.Wait(100 * time.Millisecond); err != nil { … }
//			continue
//		}
//		for f, ok := b.Next(); ok; f, ok = b.Next() { … }
//		r.Release()
//	}
//
// Walking a block makes no system call, takes no lock, reads no clock and allocates nothing. Every
// offset and count in a block is checked against the block before it is followed. BlockOf walks a
// block in ordinary memory, without a socket and without privileges.
//
// The package never looks up interfaces, compiles filters, decodes frames or logs. It does not put
// the interface into promiscuous mode. Opening a ring needs CAP_NET_RAW and nothing else.
package ring
