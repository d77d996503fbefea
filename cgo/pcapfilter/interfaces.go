package pcapfilter

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
)

// OfInterface says which program of a list the packets of an interface are for.
type OfInterface struct {
	Index   uint32 // the interface's, of which 0 is none
	Program int    // index in the list
}

// TooManyInterfacesError says that a program of ByInterface would be longer than the kernel takes.
type TooManyInterfacesError struct {
	Interfaces   int // that were given
	Instructions int // that their program would have
	Max          int // interfaces that fit for certain, whatever their indexes
}

func (e *TooManyInterfacesError) Error() string {
	return fmt.Sprintf("%d interfaces make a filter of %d instructions and the kernel takes %d: choose at most %d, or all",
		e.Interfaces, e.Instructions, maxInstructions, e.Max)
}

// maxPrograms bounds the number of programs that ByInterface puts together: two are enough for the link types.
const maxPrograms = 64

// ByInterface returns the program for a socket that hears all interfaces and is to take the packets of some: it
// looks the interface of a packet up and goes on with the program for it, which should be one for its link type.
// Packets of other interfaces are rejected. The order of the list does not matter.
//
// The look-up is a binary search. It executes at most 3 instructions for one interface, 13 for 300 and 18 for
// 1500. In the program it takes two for each interface, and a few more for far jumps: 613 for 300, 3049 for 1500.
// Interfaces whose indexes follow each other, with the same program, take three together (TestByInterface).
//
// The error is a *TooManyInterfacesError where the program would be too long. The caller can take ByHardwareType
// then and look at the index of each packet itself. Any other error is the caller's fault: an index of 0, one
// that is there twice, or a program that does not exist.
func ByInterface(interfaces []OfInterface, programs [][]bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	if len(programs) > maxPrograms {
		return nil, fmt.Errorf("filter by interface: %d programs: at most %d", len(programs), maxPrograms)
	}
	sorted := slices.SortedFunc(slices.Values(interfaces), func(a, b OfInterface) int { return cmp.Compare(a.Index, b.Index) })
	for i, f := range sorted {
		switch {
		case f.Index == 0:
			return nil, fmt.Errorf("filter by interface: index 0 is no interface")
		case f.Program < 0 || f.Program >= len(programs):
			return nil, fmt.Errorf("filter by interface: interface %d wants program %d of %d", f.Index, f.Program, len(programs))
		case i > 0 && sorted[i-1].Index == f.Index:
			return nil, fmt.Errorf("filter by interface: interface %d is there twice", f.Index)
		}
	}
	prog, err := byRuns(runsOf(sorted), programs)
	if err != nil {
		return nil, err
	}
	if len(prog) > maxInstructions {
		return nil, &TooManyInterfacesError{Interfaces: len(interfaces), Instructions: len(prog), Max: MaxInterfaces(programs)}
	}
	return prog, nil
}

// MaxInterfaces returns how many interfaces ByInterface can take for certain with these programs. More fit where
// indexes follow each other.
func MaxInterfaces(programs [][]bpf.RawInstruction) int {
	// Single indexes take the most: two instructions each, where neighbours of one run take three together.
	fits := func(n int) bool {
		runs := make([]indexRun, n)
		for i := range runs {
			index := uint32(2 * i)
			runs[i] = indexRun{index, index, i % max(1, len(programs))} // all exits in each chunk
		}
		prog, err := byRuns(runs, programs)
		return err == nil && len(prog) <= maxInstructions
	}
	n := 0
	for step := maxInstructions / 2; step > 0; step /= 2 {
		if n+step <= maxInstructions && fits(n+step) {
			n += step
		}
	}
	return n
}

// indexRun is a run of indexes that follow each other and have the same program.
type indexRun struct {
	first, last uint32
	program     int
}

func runsOf(sorted []OfInterface) (runs []indexRun) {
	for _, f := range sorted {
		if n := len(runs); n > 0 && runs[n-1].last+1 == f.Index && runs[n-1].program == f.Program {
			runs[n-1].last = f.Index
			continue
		}
		runs = append(runs, indexRun{f.Index, f.Index, f.Program})
	}
	return runs
}

// leafLen returns the number of instructions that compare an index with a run.
func (r indexRun) leafLen() int {
	if r.first == r.last {
		return 1
	}
	return 2
}

// interfaceTree builds the look-up of ByInterface:
//
//	ld ifindex
//	a tree of far jumps, which ends in
//	  chunks, in which all jumps are near:
//	    a tree of comparisons of the index with runs
//	    exits: a jump to each program, and a rejection
//	the programs
type interfaceTree struct {
	assembler
	programs []label
}

func byRuns(runs []indexRun, programs [][]bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	var t interfaceTree
	for range programs {
		t.programs = append(t.programs, t.label())
	}
	t.add(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
	t.far(t.chunks(runs))
	for i, p := range programs {
		t.place(t.programs[i])
		t.program(p)
	}
	return t.assemble()
}

// chunks cuts the runs so that in each chunk all jumps are near.
func (t *interfaceTree) chunks(runs []indexRun) (chunks [][]indexRun) {
	const nearest = 255
	room := nearest - len(t.programs) - 1 // but for the exits
	size := 0
	begin := 0
	for i, r := range runs {
		n := r.leafLen() + 1 // and a node above
		if size+n > room && i > begin {
			chunks, begin, size = append(chunks, runs[begin:i]), i, 0
		}
		size += n
	}
	return append(chunks, runs[begin:])
}

func (t *interfaceTree) far(chunks [][]indexRun) {
	if len(chunks) == 1 {
		t.near(chunks[0])
		return
	}
	half := len(chunks) / 2
	lower, upper := t.label(), t.label()
	t.jumpIf(bpf.JumpGreaterOrEqual, chunks[half][0].first, next, lower)
	t.jump(upper)
	t.place(lower)
	t.far(chunks[:half])
	t.place(upper)
	t.far(chunks[half:])
}

func (t *interfaceTree) near(runs []indexRun) {
	exits := make([]label, len(t.programs))
	used := make([]bool, len(t.programs))
	for i := range exits {
		exits[i] = t.label()
	}
	for _, r := range runs {
		used[r.program] = true
	}
	reject := t.label()
	if len(runs) > 0 {
		t.search(runs, exits, reject)
	}
	t.place(reject)
	t.add(bpf.RetConstant{Val: 0})
	for i, exit := range exits {
		if used[i] {
			t.place(exit)
			t.jump(t.programs[i])
		}
	}
}

func (t *interfaceTree) search(runs []indexRun, exits []label, reject label) {
	if len(runs) == 1 {
		r := runs[0]
		if r.first == r.last {
			t.jumpIf(bpf.JumpEqual, r.first, exits[r.program], reject)
			return
		}
		t.jumpIf(bpf.JumpGreaterOrEqual, r.first, next, reject)
		t.jumpIf(bpf.JumpGreaterThan, r.last, reject, exits[r.program])
		return
	}
	half := len(runs) / 2
	lower, upper := t.label(), t.label()
	t.jumpIf(bpf.JumpGreaterOrEqual, runs[half].first, upper, lower)
	t.place(lower)
	t.search(runs[:half], exits, reject)
	t.place(upper)
	t.search(runs[half:], exits, reject)
}

// ethernetTypes and rawTypes are hardware types of interfaces (ARPHRD_ in linux/if_arp.h) by what their packets begin
// with. Package parse decodes the same ones.
var (
	ethernetTypes = []uint32{1, 772}                                          // ETHER, LOOPBACK
	rawTypes      = []uint32{512, 519, 768, 769, 776, 778, 823, 65534, 65535} // PPP, RAWIP, TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, NONE, VOID
)

// ByHardwareType returns the program for a socket that hears all interfaces and is to take the packets of all: it
// goes on with the program for the link type of the packet's interface, EN10MB or Raw. Packets of interfaces of
// other kinds are rejected. It executes three instructions before the program for Ethernet, four on lo,
// at most thirteen for raw packets.
func ByHardwareType(ethernet, raw []bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	var a assembler
	toEthernet, toRaw, isEthernet, isRaw := a.label(), a.label(), a.label(), a.label()
	a.add(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	for _, hatype := range ethernetTypes {
		a.jumpIf(bpf.JumpEqual, hatype, isEthernet, next)
	}
	for _, hatype := range rawTypes {
		a.jumpIf(bpf.JumpEqual, hatype, isRaw, next)
	}
	a.add(bpf.RetConstant{Val: 0})
	a.place(isRaw)
	a.jump(toRaw)
	a.place(isEthernet)
	a.jump(toEthernet)
	a.place(toRaw)
	a.program(raw)
	a.place(toEthernet)
	a.program(ethernet)
	return a.runnable()
}

// OnlyOutgoing returns a program that rejects what this machine has not sent (sll_pkttype of packet(7) is not
// PACKET_OUTGOING), and gives the rest to a program. It executes two more instructions. It is the filter "outbound",
// also for the builds that have no libpcap.
//
// A socket that ignores outgoing packets (PACKET_IGNORE_OUTGOING), as on lo, gets nothing through it.
func OnlyOutgoing(prog []bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	const outgoing = 4 // PACKET_OUTGOING, linux/if_packet.h
	var a assembler
	sent := a.label()
	a.add(bpf.LoadExtension{Num: bpf.ExtType})
	a.jumpIf(bpf.JumpEqual, outgoing, sent, next)
	a.add(bpf.RetConstant{Val: 0})
	a.place(sent)
	a.program(prog)
	return a.runnable()
}
