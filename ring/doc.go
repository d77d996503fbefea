// Package ring captures frames from a network interface through a Linux packet socket with a
// TPACKET_V3 ring: a mapping shared with the kernel, which fills it block by block. Frames are read in
// place.
//
//	r, err := ring.Open(ring.Config{IfIndex: i, BlockSize: 1 << 18, NumBlocks: 128, FrameSize: 2048})
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
// [OpenGroup] opens several rings among which the kernel shares out an interface's connections.
//
// # The ring
//
// The kernel fills one block after another and hands each over by setting a bit in its status word.
// [Ring.Next] loads that word, and [Ring.Release] gives the block back by clearing it.
//
//	     Ring.Next: status has TP_STATUS_USER
//	         │
//	┌────────▼┬─────────┬─────────┬─────────┬─────────┐
//	│ block 0 │ block 1 │ block 2 │ block 3 │ block 4 │ ─► block 0 again
//	│ ours    │ ours    │ kernel  │ kernel  │ kernel  │
//	└────┬────┴─────────┴────▲────┴─────────┴─────────┘
//	     │                   └ the kernel writes here, and drops if it is ours
//	     ▼
//	┌───────────┬─────────────────────────┬─────────────────────────┬─────────┐
//	│ block     │ frame header, 68 bytes  │ frame header            │ padding │
//	│ header,   │ link header, IP, TCP, … │ link header, IP, TCP, … │         │
//	│ 48 bytes  │ padding                 │ padding                 │         │
//	└───────────┴▲────────────────────────┴▲────────────────────────┴─────────┘
//	             │                         │
//	             │                         └ + tp_next_offset, 0 in the last frame
//	             └ offset_to_first_pkt
//
// In a frame tp_mac leads from its header to the captured bytes, and tp_snaplen is their number. Every
// offset and count is checked against the block before it is followed. To walk a block takes no system
// call, no lock, no clock and no allocation. [BlockOf] walks a block in ordinary memory, without a socket
// and without privileges.
//
// # Goroutines
//
// A ring has one owner goroutine. It alone calls Next, Release, Wait, Nap and Close, and it alone reads
// the frames of a Block, which lie in the mapping until Release. Any goroutine may call Wake, Stats and
// IfIndex, also after Close.
//
// # What it does not do
//
// The package looks up no interfaces, compiles no filters, decodes no frames, logs nothing, and does not put
// the interface into promiscuous mode. Opening a ring needs CAP_NET_RAW and nothing else.
//
// # Sources
//
// Facts about the kernel in comments were read in net/packet/af_packet.c and net/packet/internal.h, in the function or
// structure named beside them, unless another file or version is named: of af_packet.c the text of Linux 6.6, or little
// later (torvalds/linux at de80193308f4). Of what Linux 6.18 does otherwise, the retire timer, the commit was read
// (f7460d2989fa). The tests of this package hold the rest against the kernel that they run on, 6.18 at first.
package ring
