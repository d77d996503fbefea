// Package pcapfile reads packets from capture files: pcap (libpcap's format, times in micro- or
// nanoseconds, either byte order) and pcapng (several interfaces and sections, each interface with
// its own link type and time resolution).
//
// gopacket's pcapgo decodes them. In front of it stands a gate that cuts the file into records and
// lets a record through only when it is whole and its lengths agree, so that a damaged file ends
// at a known byte with everything before it delivered, and never makes anything allocate more than
// a record can hold. Blocks that carry no packets (names, secrets, statistics, custom blocks) do
// not pass the gate.
//
// A Reader belongs to one goroutine. The package is no part of live capture.
package pcapfile
