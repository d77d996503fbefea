// Package pcapfilter compiles a packet filter in the language of pcap-filter(7) to a classic BPF program for
// the kernel.
//
//	prog, err := pcapfilter.CompileLive("tcp port 443", pcapfilter.EN10MB, 192)
//	prog = pcapfilter.HeadersOnly(prog, pcapfilter.EN10MB)
//
// It calls libpcap's compiler, pcap_compile(3PCAP), on a handle that was never opened on an interface, and
// nothing else of libpcap: no packet passes through it.
//
// The filter "tcp" alone is not libpcap's. This package assembles it, with or without libpcap, for Ethernet,
// both cooked captures and raw IP. It accepts TCP in IPv4 and IPv6 also behind VLAN tags (three), a PPPoE
// session, MPLS labels (four) and IPv6 extension headers (four), and every fragment of a TCP segment.
// An ordinary packet costs no more instructions than in libpcap's program.
//
// # The program
//
// A program accepts a packet with the snap length, the number of its first bytes that the kernel
// is to copy, and rejects it with 0. Attach it with SO_ATTACH_FILTER.
//
// A program works for one link type: the bytes must begin with that link layer's header.
//
// Programs can be put together, and HeadersOnly comes before that:
//
//   - [Sample] takes one connection in N of what a program accepts. It comes before HeadersOnly.
//   - [OrOuter] takes the outer packets of tunnels, too, with a snap length of their own. It comes before the others.
//   - [ByInterface] and [ByHardwareType] choose among programs for one link type each, for a socket that hears all
//     interfaces. The former takes the packets of some interfaces: 1878 of them at least with the programs of
//     "tcp". The latter takes all.
//   - [OnlyOutgoing] takes what this machine sends.
//
// [ReadProgram] reads a program that tcpdump has compiled, for use instead of one of Compile or CompileLive.
//
// [Fanout] returns a program of another kind: the kernel takes a socket of a group by what it returns.
//
// # What the compiler cannot know
//
//   - The kernel takes the outer VLAN tag out of a received packet before the filter sees it.
//     libpcap looks for the tag where the kernel keeps it (the ancillary loads vlan_tag and
//     vlan_tag_present) only when it compiles for an open interface. [Compile] makes "vlan 5" a test
//     of the bytes, as is right for files. [CompileLive] looks in both places. Other tests need no
//     "vlan": they find the packet untagged.
//   - "inbound", "outbound" and "ifindex" do become ancillary loads (linux/filter.h, SKF_AD_OFF),
//     which the kernel has and a user space BPF machine may not.
//   - The netmask of the interface is unknown: "ip broadcast" is an error.
//   - Names of hosts are looked up while compiling, and not again.
//
// Within a longer filter "tcp" is libpcap's: TCP directly behind IPv4, or behind IPv6 with at most one fragment
// header between. It does not look into VLAN tags left in the packet, PPPoE, MPLS or tunnels, nor behind other
// IPv6 extension headers.
//
// The time of libpcap's optimizer grows much faster than the number of alternatives: 0.4 s for "tcp and" any
// of 200 ports, 2 s for 400. "portrange" and "net" cover as many with one.
//
// # Without cgo
//
// Built with CGO_ENABLED=0 the package has no libpcap. It then knows the empty filter and "tcp", and returns an
// error for any other, but [ReadProgram] reads its program. [Available] tells the builds apart.
//
// All functions may be called from any goroutine.
package pcapfilter
