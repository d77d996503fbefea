package pcapfilter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/parse"
)

// padded is a program of n instructions that accepts every packet with so many bytes.
func padded(n int, accept uint32) []bpf.RawInstruction {
	prog := make([]bpf.RawInstruction, n-1, n)
	for i := range prog {
		prog[i] = bpf.RawInstruction{Op: 0x07} // BPF_MISC | BPF_TAX
	}
	return append(prog, bpf.RawInstruction{Op: 0x06, K: accept})
}

// short are two programs whose verdicts tell them apart.
func short() [][]bpf.RawInstruction { return [][]bpf.RawInstruction{padded(1, 100), padded(1, 200)} }

func TestByInterface(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 31))
	gaps := func(n int, gap func() uint32) (all []OfInterface) {
		index := uint32(0)
		for range n {
			index += gap()
			all = append(all, OfInterface{index, r.IntN(2)})
		}
		r.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all
	}
	alone := func() uint32 { return 2 + r.Uint32N(5) }
	for _, c := range []struct {
		name       string
		interfaces []OfInterface
		programs   [][]bpf.RawInstruction
		executed   int // at most, the program for the link type not counted
	}{
		{"none", nil, short(), 2},
		{"1", gaps(1, alone), short(), 3},
		{"2", gaps(2, alone), short(), 4},
		{"2 neighbours", gaps(2, func() uint32 { return 1 }), short(), 4},
		{"300", gaps(300, alone), short(), 13},
		{"300 of all indexes", gaps(300, func() uint32 { return 1 + r.Uint32()>>9 }), short(), 13},
		{"300 in runs", gaps(300, func() uint32 { return 1 + r.Uint32N(8)/7 }), short(), 14},
		{"1500", gaps(1500, alone), short(), 18},
		{"1500 in a row", gaps(1500, func() uint32 { return 1 }), short(), 18},
		{"the highest index", []OfInterface{{1<<32 - 1, 1}, {1<<32 - 2, 1}, {1<<32 - 4, 0}}, short(), 5},
		{"long programs", gaps(300, alone), [][]bpf.RawInstruction{padded(1500, 100), padded(1500, 200)}, 13},
		{"many programs", []OfInterface{{4, 0}, {2, 63}}, append(slices.Repeat(short(), 31), padded(9, 100), padded(9, 200)), 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			prog, err := ByInterface(c.interfaces, c.programs)
			if err != nil {
				t.Fatal(err)
			}
			newKernelFilter(t, prog)
			want := map[uint32]int{}
			for _, f := range c.interfaces {
				want[f.Index] = 1 + f.Program
			}
			asked := []uint32{0, 1, 1 << 31, 1<<32 - 1}
			for index := range want {
				asked = append(asked, index-1, index, index+1)
			}
			most := 0
			for _, index := range asked {
				verdict, program := 0, 0
				if p := want[index]; p != 0 {
					_, program = run(t, c.programs[p-1], nil, nil)
					verdict, _ = run(t, c.programs[p-1], nil, nil)
				}
				got, executed := run(t, prog, nil, metadata{bpf.ExtInterfaceIndex: index})
				if got != verdict {
					t.Fatalf("interface %d: %d, want %d", index, got, verdict)
				}
				most = max(most, executed-program)
			}
			t.Logf("%d instructions, at most %d executed before the program", len(prog), most)
			if most > c.executed {
				t.Errorf("%d instructions executed before the program, want at most %d", most, c.executed)
			}
		})
	}
}

// The programs that a capture uses: for 1500 interfaces both fit.
func TestByInterfaceWithTCP(t *testing.T) {
	programs := [][]bpf.RawInstruction{HeadersOnly(mustTCP(t, EN10MB, snapLen), EN10MB), mustTCP(t, Raw, snapLen)}
	var all []OfInterface
	for i := range uint32(1500) {
		all = append(all, OfInterface{2 + 2*i, int(i % 2)})
	}
	prog, err := ByInterface(all, programs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instructions for 1500 interfaces, at most %d interfaces", len(prog), MaxInterfaces(programs))
	tcp4 := ipv4(6, 0, tcpHeader())
	for i := range uint32(1500) {
		link := []LinkType{EN10MB, Raw}[i%2]
		packet, wrong := framed(link, tcp4), framed([]LinkType{Raw, EN10MB}[i%2], tcp4)
		want := map[LinkType]int{EN10MB: 54, Raw: snapLen}[link]
		meta := metadata{bpf.ExtInterfaceIndex: 2 + 2*i}
		if got, _ := run(t, prog, packet, meta); got != want {
			t.Fatalf("interface %d: %d, want %d", 2+2*i, got, want)
		}
		if got, _ := run(t, prog, wrong, meta); got != 0 {
			t.Fatalf("interface %d, a packet of the other kind: %d", 2+2*i, got)
		}
	}
}

func TestMaxInterfaces(t *testing.T) {
	for _, programs := range [][][]bpf.RawInstruction{
		short(), {padded(300, 100), padded(150, 200)}, {padded(4000, 100)}, {padded(4096, 100)}, {padded(5000, 100)},
	} {
		n := MaxInterfaces(programs)
		t.Logf("programs of %d instructions: %d interfaces", len(slices.Concat(programs...)), n)
		r := rand.New(rand.NewPCG(4, 32))
		of := func(n int, gap func() uint32) (all []OfInterface) {
			index := uint32(0)
			for range n {
				index += gap()
				all = append(all, OfInterface{index, r.IntN(len(programs))})
			}
			return all
		}
		for _, gap := range []func() uint32{
			func() uint32 { return 2 }, func() uint32 { return 1 }, func() uint32 { return 1 + r.Uint32N(2) },
		} {
			if n > 0 {
				if prog, err := ByInterface(of(n, gap), programs); err != nil || len(prog) > 4096 {
					t.Errorf("%d interfaces, %d instructions, error %v", n, len(prog), err)
				}
			}
		}
		_, err := ByInterface(of(n+1, func() uint32 { return 2 }), programs)
		var tooMany *TooManyInterfacesError
		if !errors.As(err, &tooMany) || tooMany.Max != n || tooMany.Interfaces != n+1 || tooMany.Instructions <= 4096 {
			t.Errorf("%d interfaces: error %v, want one with %d at most", n+1, err, n)
		}
		if err != nil {
			wantError(t, false, err, fmt.Sprint(n+1), "4096", fmt.Sprintf("at most %d", n))
		}
	}
}

func TestByInterfaceRefuses(t *testing.T) {
	for _, c := range []struct {
		interfaces []OfInterface
		programs   int
		want       string
	}{
		{[]OfInterface{{3, 0}, {0, 0}}, 1, "index 0"},
		{[]OfInterface{{3, 0}, {4, 0}, {3, 0}}, 1, "interface 3 is there twice"},
		{[]OfInterface{{3, 1}}, 1, "program 1 of 1"},
		{[]OfInterface{{3, -1}}, 1, "program -1 of 1"},
		{[]OfInterface{{3, 0}}, 0, "program 0 of 0"},
		{[]OfInterface{{3, 0}}, 65, "65 programs: at most 64"},
	} {
		prog, err := ByInterface(c.interfaces, slices.Repeat([][]bpf.RawInstruction{padded(1, 1)}, c.programs))
		wantError(t, prog != nil, err, c.want)
	}
}

func TestByHardwareType(t *testing.T) {
	for _, programs := range [][][]bpf.RawInstruction{short(), {padded(1000, 100), padded(2000, 200)}} {
		prog, err := ByHardwareType(programs[0], programs[1])
		if err != nil {
			t.Fatal(err)
		}
		newKernelFilter(t, prog)
		most := 0
		for hatype := range uint32(1 << 16) {
			want := map[parse.Link]int{parse.LinkEthernet: 100, parse.LinkRaw: 200}[parse.LinkFromARPHRD(uint16(hatype))]
			got, executed := run(t, prog, nil, metadata{bpf.ExtLinkLayerType: hatype})
			if got != want {
				t.Errorf("hardware type %d: %d, want %d", hatype, got, want)
			}
			if want != 0 {
				executed -= len(programs[want/100-1])
			}
			if most = max(most, executed); hatype == 1 && executed != 3 {
				t.Errorf("%d instructions executed for Ethernet, want 3", executed)
			}
		}
		if most > 13 {
			t.Errorf("%d instructions executed before the program, want at most 13", most)
		}
	}
	prog, err := ByHardwareType(padded(4000, 1), padded(200, 1))
	wantError(t, prog != nil, err, "instructions and the kernel takes 4096")
}

func TestOnlyOutgoing(t *testing.T) {
	prog, err := OnlyOutgoing(mustTCP(t, EN10MB, snapLen))
	if err != nil {
		t.Fatal(err)
	}
	newKernelFilter(t, prog)
	tcp4, udp4 := framed(EN10MB, ipv4(6, 0, tcpHeader())), framed(EN10MB, ipv4(17, 0, udpHeader()))
	for pkttype := range uint32(8) { // PACKET_HOST and so on, linux/if_packet.h
		want := 0
		if pkttype == 4 {
			want = snapLen
		}
		got, executed := run(t, prog, tcp4, metadata{bpf.ExtType: pkttype})
		if got != want || want != 0 && executed != 2+5 {
			t.Errorf("packet type %d: %d after %d instructions, want %d", pkttype, got, executed, want)
		}
		if got, _ := run(t, prog, udp4, metadata{bpf.ExtType: pkttype}); got != 0 {
			t.Errorf("packet type %d, UDP: %d", pkttype, got)
		}
	}
	prog, err = OnlyOutgoing(padded(4094, 1))
	wantError(t, prog != nil, err, "4097 instructions")
	if !strings.Contains(err.Error(), "simplify") {
		t.Error(err)
	}
}
