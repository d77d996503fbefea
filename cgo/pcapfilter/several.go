package pcapfilter

import (
	"maps"
	"slices"

	"golang.org/x/net/bpf"
)

// Property is something that the kernel knows of a frame's interface, beside the frame's bytes.
type Property bpf.Extension

const (
	// IfIndex is the interface's index (SKF_AD_IFINDEX, linux/filter.h).
	IfIndex = Property(bpf.ExtInterfaceIndex)
	// Hatype is its hardware type, ARPHRD_ in linux/if_arp.h (SKF_AD_HATYPE).
	Hatype = Property(bpf.ExtLinkLayerType)
)

// Dispatch returns a program for a capture on several interfaces: it goes on with that of the programs which to has for
// the value of the property, and accepts nothing where to has none. It is for the kernel: only there a frame has an
// interface.
//
// It finds the value by halves: 17 instructions for 800 values that lie apart. Neighbours with the same program
// count as one: an interface's index is often the one after that of the interface made before.
//
// The error says that the program would be longer than the kernel takes, 4096 instructions: enough for 900 values that lie
// apart, and the programs.
func Dispatch(on Property, to map[uint32]int, programs ...[]bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	tree := halve(intervalsOf(to))
	out := []bpf.RawInstruction{{Op: opLoad, K: extensions + uint32(on)}}
	begins, at := make([]int, len(programs)), 1+len(tree)
	for i, p := range programs {
		begins[i] = at
		at += len(p)
	}
	for i, in := range tree {
		if in.Op == opProgram {
			in = bpf.RawInstruction{Op: opJump, K: uint32(begins[in.K] - (1 + i + 1))}
		}
		out = append(out, in)
	}
	for _, p := range programs {
		out = append(out, p...)
	}
	return out, checkRunnable(out)
}

// Operation codes of linux/bpf_common.h, and where the kernel's extensions begin (SKF_AD_OFF, linux/filter.h).
const (
	opLoad           = 0x20 // BPF_LD | BPF_W | BPF_ABS
	opJump           = 0x05 // BPF_JMP | BPF_JA
	opGreaterOrEqual = 0x35 // BPF_JMP | BPF_JGE | BPF_K
	opReturn         = 0x06 // BPF_RET | BPF_K

	opProgram = 0xffff // none of them: a jump to the program of number K

	extensions = 0xfffff000
)

// interval is a range of values that goes on to the beginning of the next one.
type interval struct {
	from    uint32
	program int // none: nothing is accepted
}

const none = -1

// intervalsOf returns intervals that cover all values, in order.
func intervalsOf(to map[uint32]int) []interval {
	all := []interval{{0, none}}
	begin := func(from uint32, program int) {
		switch last := &all[len(all)-1]; {
		case last.from == from:
			last.program = program
		case last.program != program:
			all = append(all, interval{from, program})
		}
	}
	for _, value := range slices.Sorted(maps.Keys(to)) {
		begin(value, to[value])
		if value != 1<<32-1 {
			if _, there := to[value+1]; !there {
				begin(value+1, none)
			}
		}
	}
	return all
}

// halve returns instructions that find the interval of the value at hand, and go to its program with opProgram.
func halve(all []interval) []bpf.RawInstruction {
	if len(all) == 1 {
		if all[0].program == none {
			return []bpf.RawInstruction{{Op: opReturn}}
		}
		return []bpf.RawInstruction{{Op: opProgram, K: uint32(all[0].program)}}
	}
	middle := len(all) / 2
	below, above := halve(all[:middle]), halve(all[middle:])
	// A conditional jump reaches 255 instructions.
	var out []bpf.RawInstruction
	if test := (bpf.RawInstruction{Op: opGreaterOrEqual, K: all[middle].from}); len(below) <= 255 {
		test.Jt = uint8(len(below))
		out = append(out, test)
	} else {
		test.Jf = 1
		out = append(out, test, bpf.RawInstruction{Op: opJump, K: uint32(len(below))})
	}
	return append(append(out, below...), above...)
}
