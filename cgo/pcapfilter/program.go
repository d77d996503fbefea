package pcapfilter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// maxProgramText bounds the bytes that ReadProgram reads: ten times what the longest program takes.
const maxProgramText = 1 << 20

// ReadProgram reads a program as "tcpdump -ddd" writes it: a line with the number of instructions, then a line
// "op jt jf k" for each, in decimal. Instructions that accept a packet get snapLen bytes, 1 to MaxSnapLen, as their
// snap length.
//
// What it returns the kernel takes. An error is one line, which names the line of the text and the remedy: for what is no
// such text, and for a program that the kernel would refuse with a bare EINVAL (bpf_check_classic, chk_code_allowed and
// check_load_and_stores in net/core/filter.c of Linux; TestReadProgramIsAsStrictAsTheKernel holds them together). It also
// refuses a program that returns a length that it computes, or has the packet's length in the index register: tcpdump writes
// none.
func ReadProgram(r io.Reader, snapLen int) ([]bpf.RawInstruction, error) {
	if snapLen < 1 || snapLen > MaxSnapLen {
		return nil, fmt.Errorf("snap length %d: choose 1 to %d bytes", snapLen, MaxSnapLen)
	}
	lines := bufio.NewScanner(io.LimitReader(r, maxProgramText))
	count, err := readCount(lines)
	if err != nil {
		return nil, inLine(1, err)
	}
	p := programReader{count: count, snapLen: uint32(snapLen), stored: make([]uint16, count)}
	for at := range p.stored {
		p.stored[at] = math.MaxUint16
	}
	line := 1
	for lines.Scan() {
		line++
		if err := p.read(lines.Text()); err != nil {
			return nil, inLine(line, err)
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return nil, inLine(line+1, err)
	case len(p.prog) < count:
		return nil, inLine(line, fmt.Errorf("the text ends after %d of %d instructions", len(p.prog), count))
	}
	return p.prog, nil
}

// inLine returns an error with its line and the remedy.
func inLine(line int, err error) error {
	switch {
	case errors.As(err, new(tooLongError)):
		return fmt.Errorf("line %d: %w", line, err)
	case errors.Is(err, bufio.ErrTooLong):
		err = errors.New("it has no end")
	}
	return fmt.Errorf("line %d: %w: want the output of tcpdump -ddd", line, err)
}

// tooLongError is the number of instructions of a program that is longer than the kernel takes.
type tooLongError uint64

func (e tooLongError) Error() string {
	return fmt.Sprintf("%d instructions, and the kernel takes %d: simplify the filter, for example with net and portrange", uint64(e), maxInstructions)
}

// readCount reads the line with the number of instructions.
func readCount(lines *bufio.Scanner) (int, error) {
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return 0, err
		}
		return 0, errors.New("it is empty")
	}
	count, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 64)
	if err != nil || count == 0 {
		return 0, fmt.Errorf("%.40q is no number of instructions", lines.Text())
	}
	if count > maxInstructions {
		return 0, tooLongError(count)
	}
	return int(count), nil
}

// programReader holds the instructions that were read so far.
type programReader struct {
	prog    []bpf.RawInstruction
	count   int // of instructions that there will be
	snapLen uint32

	// The kernel wants each load from scratch memory to follow a store on every way to it. A bit is a slot that holds a
	// value, as check_load_and_stores has it.
	stored []uint16 // at the instructions that jumps lead to, by their index
	now    uint16   // at the next instruction, if it is reached from the one before it
}

// read takes one line.
func (p *programReader) read(text string) error {
	if len(p.prog) == p.count {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		return fmt.Errorf("more than the %d instructions that line 1 announces", p.count)
	}
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return fmt.Errorf("%.40q is no instruction, four numbers op jt jf k", text)
	}
	var numbers [4]uint64
	for i, bits := range [4]int{16, 8, 8, 32} {
		n, err := strconv.ParseUint(fields[i], 10, bits)
		if err != nil {
			return fmt.Errorf("%.40q is no number of %d bits", fields[i], bits)
		}
		numbers[i] = n
	}
	in := bpf.RawInstruction{Op: uint16(numbers[0]), Jt: uint8(numbers[1]), Jf: uint8(numbers[2]), K: uint32(numbers[3])}
	known, ok := decode(in)
	if !ok {
		return fmt.Errorf("unknown instruction, op %d k %d", in.Op, in.K)
	}
	return p.add(known)
}

// decode returns the instruction that the machine knows by this code. Package bpf takes more codes for it than the kernel
// does, such as those that load the packet into the index register: one that it would write in another way is unknown.
func decode(in bpf.RawInstruction) (known bpf.Instruction, ok bool) {
	known = in.Disassemble()
	if _, unknown := known.(bpf.RawInstruction); unknown {
		return nil, false // also one that uses scratch memory beyond its 16 slots
	}
	written, err := known.Assemble()
	if ext, is := known.(bpf.LoadExtension); is && ext.Num != bpf.ExtLen {
		const width = 0x18 // BPF_SIZE: the kernel loads 32 bits whatever it says, libpcap asks for vlan_tag_present with BPF_B
		// SKF_AD_ of linux/filter.h: multiples of 4, the last one is vlan_tpid.
		return known, in.Op&^width == written.Op && ext.Num <= bpf.ExtVLANProto && ext.Num%4 == 0
	}
	return known, err == nil && written.Op == in.Op
}

// add appends an instruction, which is known, if the kernel takes it where it stands.
func (p *programReader) add(known bpf.Instruction) error {
	at := len(p.prog)
	behind := p.count - at - 1
	in, err := known.Assemble() // leaves out fields that the instruction has no use for
	if err != nil {
		return err
	}
	slots := p.now & p.stored[at]
	p.now = slots
	// jump notes that the instruction may go on behind those that follow it. Jumps only lead forwards: the distances have no
	// sign.
	jump := func(over uint32) error {
		if uint64(over) >= uint64(behind) {
			return fmt.Errorf("it jumps over %d instructions, and %d follow", over, behind)
		}
		p.stored[at+1+int(over)] &= slots
		p.now = math.MaxUint16
		return nil
	}
	switch i := known.(type) {
	case bpf.Jump:
		err = jump(i.Skip)
	case bpf.JumpIf, bpf.JumpIfX:
		if err = jump(uint32(in.Jt)); err == nil {
			err = jump(uint32(in.Jf))
		}
	case bpf.ALUOpConstant:
		switch {
		case (i.Op == bpf.ALUOpDiv || i.Op == bpf.ALUOpMod) && i.Val == 0:
			err = errors.New("it divides by 0")
		case (i.Op == bpf.ALUOpShiftLeft || i.Op == bpf.ALUOpShiftRight) && i.Val >= 32:
			err = fmt.Errorf("it shifts 32 bits by %d", i.Val)
		}
	case bpf.StoreScratch:
		p.now |= 1 << i.N
	case bpf.LoadScratch:
		if slots&(1<<i.N) == 0 {
			err = fmt.Errorf("it loads M[%d], which is not stored on every way to it", i.N)
		}
	case bpf.RetA:
		err = errors.New("it returns a length that is computed")
	case bpf.RetConstant:
		if i.Val != 0 {
			in.K = p.snapLen
		}
		p.prog = append(p.prog, in)
		return nil
	}
	if err == nil && behind == 0 {
		err = errors.New("the last instruction is no return")
	}
	if err != nil {
		return err
	}
	p.prog = append(p.prog, in)
	return nil
}
