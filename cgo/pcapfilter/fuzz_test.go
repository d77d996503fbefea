package pcapfilter

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/internal/recorded"
)

// words make up the fuzzed filters. Free text would be looked up as names of hosts.
var words = []string{
	"tcp", "udp", "ip", "ip6", "arp", "ether", "vlan", "mpls", "pppoes", "icmp", "and", "or", "not", "(", ")",
	"host", "net", "port", "portrange", "src", "dst", "proto", "protochain", "len", "greater", "less", "broadcast",
	"multicast", "inbound", "ifindex", "mask", "10.0.0.1", "10.0.0.0/8", "2001:db8::1", "2:0:0:0:0:1", "443",
	"1-1024", "65536", "0", "4294967295", "99999999999999999999", "[", "]", ":", "&", "|", "+", "-", "*", "/", "%",
	"<<", "=", "!=", "<", ">", "!", "&&", "||", "\\tcp", "\\", "tcpflags", "tcp-syn", "$", "\"", "'", "\n", "\x00", "\xff",
}

// raw are the bytes that a choice of 128 and more appends as they are: numbers and addresses of any
// shape, but no letter, for the reason above.
const raw = "0123456789.:/-[]()&|<>=!+*%,;#~^{} \t\\\x7f\x80\xc3\x28"

// written returns the filter that a choice stands for, and chosen a choice that stands for a filter of
// words.
func written(choice []byte) string {
	var b strings.Builder
	for _, c := range choice {
		if c < 128 {
			b.WriteString(" " + words[int(c)%len(words)])
		} else {
			b.WriteByte(raw[int(c-128)%len(raw)])
		}
	}
	return b.String()
}

func chosen(t testing.TB, filter string) (choice []byte) {
	t.Helper()
	for word := range strings.FieldsSeq(filter) {
		at := slices.Index(words, word)
		if at < 0 {
			t.Fatalf("%q: there is no word %q", filter, word)
		}
		choice = append(choice, byte(at))
	}
	return choice
}

// FuzzCompile wants no crash, and of what compiles a program that the machines run.
func FuzzCompile(f *testing.F) {
	for _, filter := range []string{
		"", "tcp", "tcp port 443", "tcp and not port 443", "tcp and net 10.0.0.0/8", "tcp and ( host 10.0.0.1 or host 2001:db8::1 )",
		"vlan and tcp", "vlan 443 and vlan and ip6", "pppoes and tcp", "mpls and ip and tcp", "tcp portrange 1-1024",
		"tcp [ tcpflags ] & tcp-syn != 0", "ip [ 0 : 443 ] > 0", "ether host 2:0:0:0:0:1", "not not not tcp", "( ( ( ( tcp ) ) ) )",
	} {
		for _, link := range []int{int(EN10MB), int(LinuxSLL), int(Raw)} {
			f.Add(chosen(f, filter), link, 192)
		}
	}
	var packets [][]byte
	for i, r := range recorded.Frames(recorded.Ethernet) {
		if i%40 == 0 {
			packets = append(packets, r.Data)
		}
	}
	f.Add([]byte{0}, 1, 192)
	f.Add([]byte{0, 10, 17, 35}, 1, 65535)
	f.Add([]byte{0, 41, 32 + 3, 42, 44, 35, 53, 35}, 12, 96)
	f.Add([]byte{3, 22, 35, 11, 6}, 1, 192)
	f.Add([]byte{28}, 113, 1)
	f.Fuzz(func(t *testing.T, choice []byte, link, snap int) {
		// The time that libpcap takes grows fast with the length of a filter.
		filter := written(choice[:min(len(choice), 60)])
		prog, err := Compile(filter, LinkType(link), snap)
		if err != nil {
			wantError(t, prog != nil, err)
			return
		}
		ins, decoded := bpf.Disassemble(prog)
		if !decoded {
			t.Fatalf("%q: unknown instructions in %v", filter, ins)
		}
		ancillary := false
		for i, in := range ins {
			switch in := in.(type) {
			case bpf.NegateA: // the machine does not know it
				ins[i] = bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 1<<32 - 1}
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
		for _, p := range packets {
			for cut := range len(p) + 1 {
				if n := verdict(t, m, p[:cut]); n != 0 && n != snap {
					t.Fatalf("%q with snap length %d accepts %d bytes", filter, snap, n)
				}
			}
		}
	})
}
