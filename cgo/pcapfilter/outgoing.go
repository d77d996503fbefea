package pcapfilter

import "golang.org/x/net/bpf"

// Outgoing returns a program that accepts, of the frames that prog does, those that this host sends
// (PACKET_OUTGOING, packet(7)). It is for the kernel: only there a frame has a packet type. An empty prog stands
// for one that accepts every frame, with MaxSnapLen bytes.
func Outgoing(prog []bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	const packetOutgoing = 4 // linux/if_packet.h
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: packetOutgoing, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	for _, in := range prog {
		program = append(program, in.Disassemble())
	}
	if len(prog) == 0 {
		program = append(program, bpf.RetConstant{Val: MaxSnapLen})
	}
	out, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	return out, checkRunnable(out)
}
