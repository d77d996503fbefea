package pcapfilter

import (
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

// words make up the fuzzed filters. Free text would be looked up as names of hosts.
var words = []string{
	"tcp", "udp", "ip", "ip6", "arp", "ether", "vlan", "mpls", "pppoes", "icmp", "and", "or", "not", "(", ")",
	"host", "net", "port", "portrange", "src", "dst", "proto", "protochain", "len", "greater", "less", "broadcast",
	"multicast", "inbound", "ifindex", "mask", "10.0.0.1", "10.0.0.0/8", "2001:db8::1", "2:0:0:0:0:1", "443",
	"1-1024", "65536", "0", "4294967295", "99999999999999999999", "[", "]", ":", "&", "|", "+", "-", "*", "/", "%",
	"<<", "=", "!=", "<", ">", "!", "&&", "||", "\\tcp", "\\", "tcpflags", "tcp-syn", "$", "\"", "'", "\n", "\x00", "\xff",
}

// FuzzCompile wants no crash, and of what compiles a program that the machines run.
func FuzzCompile(f *testing.F) {
	f.Add([]byte{0}, 1, 192)
	f.Add([]byte{0, 10, 17, 35}, 1, 65535)
	f.Add([]byte{0, 41, 32 + 3, 42, 44, 35, 53, 35}, 12, 96)
	f.Add([]byte{3, 22, 35, 11, 6}, 1, 192)
	f.Add([]byte{28}, 113, 1)
	f.Fuzz(func(t *testing.T, choice []byte, link, snap int) {
		var filter []string
		for _, c := range choice[:min(len(choice), 40)] {
			filter = append(filter, words[int(c)%len(words)])
		}
		prog, err := Compile(strings.Join(filter, " "), LinkType(link), snap)
		if err != nil {
			wantError(t, prog != nil, err)
			return
		}
		ins, decoded := bpf.Disassemble(prog)
		if !decoded {
			t.Fatalf("%q: unknown instructions in %v", filter, ins)
		}
		ancillary := false
		for _, in := range ins {
			switch in := in.(type) {
			case bpf.RetConstant:
				if in.Val != 0 && in.Val != uint32(snap) {
					t.Fatalf("%q with snap length %d returns %d", filter, snap, in.Val)
				}
			case bpf.RetA:
				t.Fatalf("%q returns a computed length", filter)
			case bpf.LoadExtension:
				ancillary = true
			}
		}
		if ancillary {
			return
		}
		m, err := bpf.NewVM(ins)
		if err != nil {
			t.Fatalf("%q: %v", filter, err)
		}
		for _, p := range ipPackets[:2] {
			verdict(t, m, framed(EN10MB, p.ip))
		}
	})
}
