package pcapfilter

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
)

// metadata is what the kernel knows of a packet beside its bytes, by ancillary load (SKF_AD_ in
// linux/filter.h). Zero is the value of those that are not in it.
type metadata map[bpf.Extension]uint32

// run executes a program as the kernel does, ancillary loads included, which bpf.VM has but one of. It returns
// the verdict and how many instructions were executed. TestMachineAgrees compares it with bpf.VM, and the
// tests with sockets compare it with the kernel.
func run(t testing.TB, prog []bpf.RawInstruction, packet []byte, meta metadata) (accepted, executed int) {
	t.Helper()
	var a, x uint32
	var memory [16]uint32
	load := func(at uint64, size int) (uint32, bool) {
		if at+uint64(size) > uint64(len(packet)) {
			return 0, false
		}
		b := packet[at:]
		switch size {
		case 1:
			return uint32(b[0]), true
		case 2:
			return uint32(binary.BigEndian.Uint16(b)), true
		}
		return binary.BigEndian.Uint32(b), true
	}
	for pc := 0; pc < len(prog); pc++ {
		executed++
		raw := prog[pc]
		ok := true
		switch in := raw.Disassemble().(type) {
		case bpf.LoadConstant:
			if in.Dst == bpf.RegA {
				a = in.Val
			} else {
				x = in.Val
			}
		case bpf.LoadAbsolute:
			a, ok = load(uint64(in.Off), in.Size)
		case bpf.LoadIndirect:
			a, ok = load(uint64(in.Off)+uint64(x), in.Size)
		case bpf.LoadMemShift:
			x, ok = load(uint64(in.Off), 1)
			x = x & 0x0f << 2
		case bpf.LoadExtension:
			if in.Num == bpf.ExtLen {
				a = uint32(len(packet))
			} else {
				a = meta[in.Num]
			}
		case bpf.LoadScratch:
			if in.Dst == bpf.RegA {
				a = memory[in.N]
			} else {
				x = memory[in.N]
			}
		case bpf.StoreScratch:
			if memory[in.N] = a; in.Src == bpf.RegX {
				memory[in.N] = x
			}
		case bpf.ALUOpConstant:
			a = calculate(t, in.Op, a, in.Val)
		case bpf.ALUOpX:
			a = calculate(t, in.Op, a, x)
		case bpf.TAX:
			x = a
		case bpf.TXA:
			a = x
		case bpf.Jump:
			pc += int(in.Skip)
		case bpf.JumpIf, bpf.JumpIfX:
			value := raw.K
			if raw.Op&0x08 != 0 { // BPF_X
				value = x
			}
			yes := false
			switch raw.Op & 0xf0 {
			case 0x10: // BPF_JEQ
				yes = a == value
			case 0x20: // BPF_JGT
				yes = a > value
			case 0x30: // BPF_JGE
				yes = a >= value
			case 0x40: // BPF_JSET
				yes = a&value != 0
			}
			if yes {
				pc += int(raw.Jt)
			} else {
				pc += int(raw.Jf)
			}
		case bpf.RetA:
			return int(a), executed
		case bpf.RetConstant:
			return int(in.Val), executed
		default:
			t.Fatalf("instruction %d is %v, which the machine does not know", pc, raw)
		}
		if !ok {
			return 0, executed
		}
	}
	t.Fatal("the program does not end in a return")
	return 0, 0
}

func calculate(t testing.TB, op bpf.ALUOp, a, b uint32) uint32 {
	switch op {
	case bpf.ALUOpAdd:
		return a + b
	case bpf.ALUOpSub:
		return a - b
	case bpf.ALUOpMul:
		return a * b
	case bpf.ALUOpXor:
		return a ^ b
	case bpf.ALUOpAnd:
		return a & b
	case bpf.ALUOpOr:
		return a | b
	case bpf.ALUOpShiftLeft:
		return a << b
	case bpf.ALUOpShiftRight:
		return a >> b
	}
	t.Fatalf("the machine does not know operation %#x", op)
	return 0
}
