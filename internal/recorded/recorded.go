// Package recorded holds real traffic as a seed for fuzzing: what record.sh recorded of the
// kernel's own TCP.
package recorded

import (
	_ "embed"
	"encoding/binary"
	"fmt"
)

// Ethernet and Cooked are pcap files of Ethernet frames and of the device "any" (Linux cooked
// capture); EthernetNG is Ethernet as pcapng.
var (
	//go:embed ethernet.pcap
	Ethernet []byte
	//go:embed ethernet.pcapng
	EthernetNG []byte
	//go:embed cooked.pcap
	Cooked []byte
)

// Frame is a frame of a recording.
type Frame struct {
	Data    []byte // its first bytes, the link header included
	WireLen uint32 // bytes on the wire
}

// Frames takes a pcap file apart. It panics if the file is not one of this package's.
func Frames(pcap []byte) (frames []Frame) {
	const header, record = 24, 16 // struct pcap_file_header and struct pcap_sf_pkthdr of libpcap
	le := binary.LittleEndian
	if magic := le.Uint32(pcap); magic != 0xa1b2c3d4 && magic != 0xa1b23c4d {
		panic(fmt.Sprintf("recorded: a file that begins with %#x", magic))
	}
	for rest := pcap[header:]; len(rest) > 0; {
		kept, wire := le.Uint32(rest[8:]), le.Uint32(rest[12:])
		frames = append(frames, Frame{rest[record : record+kept], wire})
		rest = rest[record+kept:]
	}
	return frames
}
