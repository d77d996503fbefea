package pcapfilter

import (
	"fmt"
	"math"

	"golang.org/x/net/bpf"
)

// assembler builds a program whose jumps name labels instead of counting instructions, so that programs of
// libpcap can be put into it. The zero value is an empty program.
//
// A jump only leads forwards: place a label behind the jumps to it.
type assembler struct {
	prog   []bpf.RawInstruction
	placed []int // by label: the index of the instruction that it marks, or notPlaced
	jumps  []jump
	err    error // the first one
}

// label marks an instruction.
type label int

// next is the instruction that follows the jump.
const next label = -1

// notPlaced is the index of a label that marks no instruction yet.
const notPlaced = -1

// jump is an instruction that gets its distances when all labels are placed. A jump that always leads to yes
// has no other way.
type jump struct {
	at      int
	always  bool
	yes, no label
}

// label returns a new label, to be placed once.
func (a *assembler) label() label {
	a.placed = append(a.placed, notPlaced)
	return label(len(a.placed) - 1)
}

// place puts a label at the instruction that is added next.
func (a *assembler) place(l label) { a.placed[l] = len(a.prog) }

// add adds instructions that do not jump.
func (a *assembler) add(instructions ...bpf.Instruction) {
	for _, in := range instructions {
		raw, err := in.Assemble()
		if err != nil && a.err == nil {
			a.err = fmt.Errorf("assemble %v: %w", in, err)
		}
		a.prog = append(a.prog, raw)
	}
}

// jumpIf goes to yes or no, at most 255 instructions away, by a comparison of the accumulator with value.
// test is one that the machine has: JumpEqual, JumpGreaterThan, JumpGreaterOrEqual or JumpBitsSet.
func (a *assembler) jumpIf(test bpf.JumpTest, value uint32, yes, no label) {
	a.jumps = append(a.jumps, jump{at: len(a.prog), yes: yes, no: no})
	a.add(bpf.JumpIf{Cond: test, Val: value})
}

// jump goes to a label, however far it is.
func (a *assembler) jump(to label) {
	a.jumps = append(a.jumps, jump{at: len(a.prog), always: true, yes: to})
	a.add(bpf.Jump{})
}

// jumpIfFar is jumpIf without its bound, in two more instructions.
func (a *assembler) jumpIfFar(test bpf.JumpTest, value uint32, yes, no label) {
	near := a.label()
	a.jumpIf(test, value, next, near)
	a.jump(yes)
	a.place(near)
	a.jump(no)
}

// program puts a whole program in. It ends in its own return instructions.
func (a *assembler) program(prog []bpf.RawInstruction) { a.prog = append(a.prog, prog...) }

// assemble returns the program. An error is a fault of the code that built it.
func (a *assembler) assemble() ([]bpf.RawInstruction, error) {
	for _, j := range a.jumps {
		in := &a.prog[j.at]
		if j.always {
			in.K = a.distance(j.at, j.yes, math.MaxInt32)
			continue
		}
		in.Jt, in.Jf = uint8(a.distance(j.at, j.yes, math.MaxUint8)), uint8(a.distance(j.at, j.no, math.MaxUint8))
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.prog, nil
}

// runnable is assemble for programs that may be too long for the kernel.
func (a *assembler) runnable() ([]bpf.RawInstruction, error) {
	prog, err := a.assemble()
	if err != nil {
		return nil, err
	}
	if err := checkRunnable(prog); err != nil {
		return nil, err
	}
	return prog, nil
}

// distance returns the number of instructions between the one at an index and a label.
func (a *assembler) distance(at int, to label, limit int) uint32 {
	if to == next {
		return 0
	}
	n := a.placed[to] - at - 1
	if (n < 0 || n > limit) && a.err == nil {
		a.err = fmt.Errorf("jump of %d instructions at instruction %d: 0 to %d are possible", n, at, limit)
	}
	return uint32(n)
}
