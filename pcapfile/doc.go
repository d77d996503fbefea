// Package pcapfile reads packets from capture files: pcap (libpcap's format, times in micro- or nanoseconds,
// either byte order) and pcapng (several interfaces and sections, each interface with its own link type and
// time resolution), each also compressed with gzip or zstd.
//
//	r, err := pcapfile.NewReader(file)
//	var p pcapfile.Packet
//	for err = r.Next(&p); err == nil; err = r.Next(&p) {
//		use(p.Link, p.Data, p.Time) // Data is valid until the next call
//	}
//	// io.EOF, or a *DamageError with the byte offset
//
// gopacket's pcapgo decodes the files. A gate in front of it lets a record through only when it is whole and
// its lengths agree:
//
//	file ─► [decompressor] ─► gate: cutRecord (pcap) or cutBlock (pcapng) ─► pcapgo ─► Reader.Next
//	                          └► dropped: blocks without packets (names, secrets, statistics, custom)
//
// A damaged file thus ends at a known byte, with every packet before it delivered, and nothing allocates more
// than a record can hold, and what zstd has to look back on (128 MiB at most).
//
// A Reader belongs to one goroutine. The package is no part of live capture.
package pcapfile
