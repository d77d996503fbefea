package pcapfilter

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"

	"golang.org/x/net/bpf"
)

// LinkType names the header that a packet begins with: one of libpcap's DLT_ numbers (pcap/dlt.h), as
// they are on Linux. These are not the ARPHRD_ numbers of an interface.
type LinkType int

// Link types of the interfaces that carry IP. Compile takes any other number that libpcap knows.
const (
	Null      LinkType = 0   // DLT_NULL: BSD loopback, an address family in host byte order
	EN10MB    LinkType = 1   // DLT_EN10MB: Ethernet
	PPP       LinkType = 9   // DLT_PPP
	Raw       LinkType = 12  // DLT_RAW: IPv4 or IPv6 without a link header
	Loop      LinkType = 108 // DLT_LOOP: OpenBSD loopback, an address family in network byte order
	LinuxSLL  LinkType = 113 // DLT_LINUX_SLL: Linux cooked capture, version 1
	LinuxSLL2 LinkType = 276 // DLT_LINUX_SLL2: Linux cooked capture, version 2
)

const (
	// MaxSnapLen is the largest snap length, in bytes: libpcap's own bound for an open interface
	// (MAXIMUM_SNAPLEN in its pcap-int.h).
	MaxSnapLen = 262144
	// MaxFilterLen is the longest filter, in bytes. libpcap's parser and optimizer are recursive
	// C code; this keeps their stack and their time within bounds.
	MaxFilterLen = 16384
	// maxInstructions is the longest program that the kernel takes (BPF_MAXINSNS, linux/bpf_common.h).
	maxInstructions = 4096

	whiteSpace = " \t\r\n" // as in libpcap's scanner.l
)

// Compile compiles a filter for packets of a link type to a program that accepts with snapLen
// bytes, 1 to MaxSnapLen. The empty filter accepts every packet.
//
// An error is one line with a remedy, and with libpcap's own text where libpcap refused the filter. It does not
// name the filter: the caller does.
func Compile(filter string, link LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	switch {
	case len(filter) > MaxFilterLen:
		return nil, fmt.Errorf("%d bytes long: shorten it to at most %d, for example with net and portrange", len(filter), MaxFilterLen)
	case strings.IndexByte(filter, 0) >= 0:
		return nil, fmt.Errorf("has a NUL byte at offset %d: remove it", strings.IndexByte(filter, 0))
	case snapLen < 1 || snapLen > MaxSnapLen:
		return nil, fmt.Errorf("snap length %d: choose 1 to %d bytes", snapLen, MaxSnapLen)
	case link < 0 || link > math.MaxUint16:
		return nil, fmt.Errorf("link type %d: choose a DLT_ number of pcap-linktype(7), 0 to %d", link, math.MaxUint16)
	}
	prog, err := compileText(filter, link, snapLen)
	if err != nil {
		return nil, err
	}
	if err := checkRunnable(prog); err != nil {
		return nil, err
	}
	return prog, nil
}

// compileText makes "tcp" a program of this package, where it knows the link type, and leaves all other filters
// to the build's compiler.
func compileText(filter string, link LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	if l, known := ipInLink[link]; known && strings.Trim(filter, whiteSpace) == "tcp" {
		return tcpProgram(l, snapLen)
	}
	return compile(filter, link, snapLen)
}

// checkRunnable refuses programs for which the kernel would return a bare EINVAL (bpf_check_classic in
// net/core/filter.c). libpcap itself would filter in user space then.
func checkRunnable(prog []bpf.RawInstruction) error {
	if len(prog) > maxInstructions {
		return fmt.Errorf("compiles to %d instructions and the kernel takes %d: simplify it, for example with net and portrange",
			len(prog), maxInstructions)
	}
	const jumpAlways = 0x05 // BPF_JMP | BPF_JA
	for at, in := range prog {
		// Unsigned, a jump backwards is one far beyond the end.
		if in.Op == jumpAlways && uint64(in.K) >= uint64(len(prog)-at-1) {
			return errors.New("needs a loop, which the kernel does not run: write it without protochain")
		}
	}
	return nil
}

// oneLine returns libpcap's text, which may repeat bytes of the filter, fit for a log line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
