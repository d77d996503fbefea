// Package pcapfilter compiles a packet filter in the language of pcap-filter(7) to a classic BPF program for
// the kernel.
//
//	prog, err := pcapfilter.Compile("tcp port 443", pcapfilter.EN10MB, 192)
//	prog = pcapfilter.HeadersOnly(prog, pcapfilter.EN10MB)
//
// It calls libpcap's compiler, pcap_compile(3PCAP), on a handle that was never opened on an interface, and
// nothing else of libpcap: no packet passes through it.
//
// # The program
//
// A program accepts a packet with the snap length, the number of its first bytes that the kernel
// is to copy, and rejects it with 0. Attach it with SO_ATTACH_FILTER.
//
// A program works for one link type: the bytes must begin with that link layer's header.
//
// # What the compiler cannot know
//
//   - The kernel takes the outer VLAN tag out of a received packet before the filter sees it.
//     libpcap looks for the tag where the kernel keeps it (the ancillary loads vlan_tag and
//     vlan_tag_present) only when it compiles for an open interface. Here "vlan 5" becomes a test
//     of the bytes: right for files and for inner tags, never true for the outer tag of a live
//     packet. Other tests need no "vlan": they find the packet untagged.
//   - "inbound", "outbound" and "ifindex" do become ancillary loads (linux/filter.h, SKF_AD_OFF),
//     which the kernel has and a user space BPF machine may not.
//   - The netmask of the interface is unknown: "ip broadcast" is an error.
//   - Names of hosts are looked up while compiling, and not again.
//
// "tcp" is TCP directly behind IPv4, or behind IPv6 with at most one fragment header between. It
// does not look into VLAN tags left in the packet, PPPoE, MPLS or tunnels, nor behind other IPv6
// extension headers.
//
// The time of libpcap's optimizer grows much faster than the number of alternatives: 0.4 s for "tcp and" any
// of 200 ports, 2 s for 400. "portrange" and "net" cover as many with one.
//
// # Without cgo
//
// Built with CGO_ENABLED=0 the package has no libpcap. It then knows the empty filter and "tcp", which is
// assembled by hand to give libpcap's verdicts, and returns an error for any other. [Available]
// distinguishes the builds.
//
// All functions may be called from any goroutine.
package pcapfilter
