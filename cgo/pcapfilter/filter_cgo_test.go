//go:build cgo

package pcapfilter

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/bpf"
)

func TestLibpcapsErrors(t *testing.T) {
	for _, c := range []struct {
		name, filter string
		link         LinkType
		want         string // libpcap's own text
	}{
		{"an unfinished expression", "tcp and", EN10MB, "syntax error"},
		{"an unknown character", "tcp $", EN10MB, "syntax error"},
		{"an unclosed bracket", "tcp[", EN10MB, "syntax error"},
		{"a line break in the middle", "tcp\nand\n(", EN10MB, "syntax error"},
		{"a port that is too large", "port 65536", EN10MB, "65536 > 65535"},
		{"nothing can match", "tcp and udp", EN10MB, "rejects all packets"},
		{"a test that the link type cannot answer", "ether host 2:0:0:0:0:1", Raw, "ethernet"},
		{"a test that needs the netmask", "ip broadcast", EN10MB, "netmask not known"},
		{"parentheses deeper than the parser's stack", strings.Repeat("(", 10_000) + "tcp", EN10MB, "memory exhausted"},
		{"a link type that libpcap does not know", "tcp", 9999, "unknown data link type 9999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prog, err := Compile(c.filter, c.link, 192)
			wantError(t, prog != nil, err, c.want, "pcap-filter(7)")
		})
	}
}

func TestWhatTheKernelCannotRunIsRefused(t *testing.T) {
	prog, err := Compile("ip6 protochain 6", EN10MB, 192)
	wantError(t, prog != nil, err, "needs a loop", "without protochain")

	// libpcap does not optimize a program with a loop, so this one is long, too.
	ports := []string{"ip6 protochain 6"}
	for port := range 300 {
		ports = append(ports, fmt.Sprintf("port %d", port))
	}
	prog, err = Compile(strings.Join(ports, " or "), EN10MB, 192)
	wantError(t, prog != nil, err, "instructions and the kernel takes 4096", "simplify")
}

func TestRunnableAtItsEdges(t *testing.T) {
	accept := bpf.RawInstruction{Op: 0x06, K: 1}
	ja := func(k uint32) bpf.RawInstruction { return bpf.RawInstruction{Op: 0x05, K: k} }
	long := make([]bpf.RawInstruction, 4097)
	for k := range long {
		long[k] = accept
	}
	for _, c := range []struct {
		name string
		prog []bpf.RawInstruction
		ok   bool
	}{
		{"4096 instructions", long[:4096], true},
		{"4097 instructions", long, false},
		{"a jump to the next instruction", []bpf.RawInstruction{ja(0), accept}, true},
		{"a jump to the last", []bpf.RawInstruction{ja(1), accept, accept}, true},
		{"a jump behind the last", []bpf.RawInstruction{ja(2), accept, accept}, false},
		{"a jump to itself", []bpf.RawInstruction{accept, ja(1<<32 - 1), accept}, false},
	} {
		if err := checkRunnable(c.prog); (err == nil) != c.ok {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestFiltersSelect(t *testing.T) {
	tcp4, udp4 := framed(EN10MB, ipv4(6, 0, tcpHeader())), framed(EN10MB, ipv4(17, 0, udpHeader()))
	tcp6 := framed(EN10MB, ipv6(6, tcpHeader()))
	for _, c := range []struct {
		filter           string
		tcp4, udp4, tcp6 bool
	}{
		{"tcp", true, false, true},
		{"udp", false, true, false},
		{"ip", true, true, false},
		{"ip6", false, false, true},
		{"tcp port 443", true, false, true},
		{"tcp port 80", false, false, false},
		{"tcp and src host 10.0.0.1", true, false, false},
		{"not tcp", false, true, false},
		{"port 53 or tcp portrange 12000-13000", true, true, true},
		{"len > 60", false, false, true},
	} {
		m := vm(t, mustCompile(t, c.filter, EN10MB, 77))
		for _, p := range []struct {
			name   string
			packet []byte
			want   bool
		}{{"TCP in IPv4", tcp4, c.tcp4}, {"UDP in IPv4", udp4, c.udp4}, {"TCP in IPv6", tcp6, c.tcp6}} {
			want := 0
			if p.want {
				want = 77
			}
			if got := verdict(t, m, p.packet); got != want {
				t.Errorf("%q on %s: %d, want %d", c.filter, p.name, got, want)
			}
		}
	}
}

// doc.go lists the words that become ancillary loads.
func TestAncillaryLoads(t *testing.T) {
	const ancillary = 0xfffff000 // SKF_AD_OFF, linux/filter.h
	for _, c := range []struct {
		filter string
		want   bool
	}{
		{"vlan", false},
		{"vlan 5 and tcp", false},
		{"tcp", false},
		{"inbound", true},
		{"ifindex 3", true},
	} {
		got := false
		for _, in := range mustCompile(t, c.filter, EN10MB, 192) {
			isLoad := in.Op&0x07 == 0x00 // BPF_LD
			got = got || isLoad && in.K >= ancillary
		}
		if got != c.want {
			t.Errorf("%q: ancillary loads %v, want %v", c.filter, got, c.want)
		}
	}
}

func TestVersionIsLibpcaps(t *testing.T) {
	if !Available || !strings.HasPrefix(Version(), "libpcap version ") {
		t.Errorf("Available %v, Version %q", Available, Version())
	}
}

func TestCompileFromManyGoroutines(t *testing.T) {
	// Names of services and protocols take libpcap through the C library's look-ups.
	filters := []string{"tcp", "", "tcp port 443", "tcp port http", "ip proto icmp", "tcp and", "port 65536"}
	want := make([]string, len(filters))
	result := func(filter string) string {
		prog, err := Compile(filter, EN10MB, 192)
		return fmt.Sprint(prog, err)
	}
	for k, filter := range filters {
		want[k] = result(filter)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for k := range 200 {
				f := (k + g) % len(filters)
				if got := result(filters[f]); got != want[f] {
					t.Errorf("%q: %s, alone: %s", filters[f], got, want[f])
					return
				}
			}
		})
	}
	wg.Wait()
}

// Memory that libpcap got must go back, on the good path and on the bad one.
func TestCompileGivesMemoryBack(t *testing.T) {
	longProgram := "ether[0]" + strings.Repeat("+ether[0]", 200) + "=1"
	longText := strings.Repeat(" ", 16_000) + "tcp and"
	compile := func(rounds int) {
		for range rounds {
			if _, err := Compile(longProgram, EN10MB, 192); err != nil {
				t.Fatal(err)
			}
			if _, err := Compile(longText, EN10MB, 192); err == nil {
				t.Fatal("no error")
			}
			for range 4 {
				if _, err := Compile("", 9999, 192); err == nil {
					t.Fatal("no error")
				}
			}
		}
	}
	compile(200)
	const rounds = 2000
	var grown [4]int
	for i := range grown {
		before := residentPages(t)
		compile(rounds)
		grown[i] = (residentPages(t) - before) * os.Getpagesize()
		// About 1 MiB of growth is the C library's heaps of the threads that took part. In so many
		// rounds leaked programs made over 4 MiB, leaked handles 9 MiB, leaked texts 35 MiB, each time. The
		// race detector takes 10 MiB, but once.
		if grown[i] <= 3<<20 {
			return
		}
	}
	t.Errorf("resident memory grew by %d bytes, each time in %d rounds", grown, rounds)
}

func residentPages(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory() // so that what Go holds for later does not count
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident
}
