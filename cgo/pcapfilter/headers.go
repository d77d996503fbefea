package pcapfilter

import "golang.org/x/net/bpf"

// HeadersOnly returns a program of Compile that accepts a TCP segment in IPv4 without options over Ethernet
// with the bytes of its headers alone, 54 to 94, and everything else as before. The kernel then copies less,
// and a capture ring holds more: an ordinary data segment takes 160 bytes of it instead of 288.
//
// It returns a program as it is for other link types, or if it would become too long for the kernel.
func HeadersOnly(prog []bpf.RawInstruction, link LinkType) []bpf.RawInstruction {
	const (
		headers = 14 + 20 // Ethernet, IPv4
		tcpLen  = 20      // without options

		retConstant = 0x06 // BPF_RET | BPF_K
		jumpAlways  = 0x05 // BPF_JMP | BPF_JA
	)
	if link != EN10MB || len(prog) == 0 {
		return prog
	}
	accept := bpf.RawInstruction{Op: retConstant}
	for _, in := range prog {
		if in.Op == retConstant && in.K != 0 {
			accept.K = in.K // the same wherever a program accepts
		}
	}
	tail, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: headers + tcpLen, SkipFalse: 12}, // or the loads would reject it
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0800, SkipFalse: 10}, // EtherType IPv4
		bpf.LoadAbsolute{Off: 14, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x45, SkipFalse: 8}, // version 4, 5 words
		bpf.LoadAbsolute{Off: 14 + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipFalse: 6}, // TCP
		bpf.LoadAbsolute{Off: headers + 12, Size: 1},          // data offset, in words, and other bits
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 2},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: headers},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: headers + tcpLen, SkipFalse: 1}, // or it is no data offset
		bpf.RetA{},
		bpf.RetConstant{Val: accept.K},
	})
	if err != nil || accept.K < headers+60 || len(prog)+len(tail) > maxInstructions {
		return prog
	}
	out := make([]bpf.RawInstruction, 0, len(prog)+len(tail))
	for at, in := range prog {
		if in == accept {
			in = bpf.RawInstruction{Op: jumpAlways, K: uint32(len(prog) - at - 1)}
		}
		out = append(out, in)
	}
	return append(out, tail...)
}
