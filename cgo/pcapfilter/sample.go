package pcapfilter

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// MaxSample is the largest N of a sample of one connection in N.
const MaxSample = 1 << 16

// Sample returns a program that accepts what a program of Compile or CompileLive accepts, with as many bytes, of one TCP
// connection in oneIn: 1 (all) to MaxSample. It selects by a hash of addresses and ports, which is fixed and the same
// for both directions (parse.Sample has it in Go), so that a connection is accepted whole or not at all.
//
// It finds TCP where the program of "tcp" does, in the link types that that knows, and rejects everything else: what is
// no TCP, what is nested deeper, and the later fragments of a segment, which have no ports.
//
// An ordinary segment that the program accepts executes 51 instructions more in IPv4, 73 in IPv6 (TestSampleInstructions).
func Sample(prog []bpf.RawInstruction, link LinkType, oneIn int) ([]bpf.RawInstruction, error) {
	if oneIn < 1 || oneIn > MaxSample {
		return nil, fmt.Errorf("a sample of one in %d: choose 1 to %d", oneIn, MaxSample)
	}
	if oneIn == 1 {
		return prog, nil
	}
	l, known := ipInLink[link]
	if !known {
		return nil, fmt.Errorf("link type %d: its connections cannot be sampled", link)
	}
	const (
		retConstant = 0x06 // BPF_RET | BPF_K
		jumpAlways  = 0x05 // BPF_JMP | BPF_JA
	)
	accept := bpf.RawInstruction{Op: retConstant}
	var a assembler
	a.program(prog)
	for at, in := range a.prog {
		if in.Op == retConstant && in.K != 0 {
			accept.K = in.K // the same wherever a program accepts
			a.prog[at] = bpf.RawInstruction{Op: jumpAlways, K: uint32(len(prog) - at - 1)}
		}
	}
	if accept.K == 0 {
		return prog, nil // it accepts nothing
	}
	sample, err := sampleProgram(l, oneIn, accept.K)
	if err != nil {
		return nil, err
	}
	a.program(sample)
	return a.runnable()
}

// Multipliers of the hash, as in package parse.
const (
	sampleAddress = 0x9e3779b1
	samplePort    = 0xc4ceb9fd
	sampleMix1    = 0x85ebca6b
	sampleMix2    = 0xc2b2ae35
)

// Scratch memory of sampleProgram. The walk over IPv6 extension headers has 0.
const (
	memIPv6        = 1 // shift of the IPv6 header
	memTransport   = 2 // of what follows the IPv6 headers
	memSource      = 3 // hash of an address, then of an end
	memDestination = 4
	memPort        = 5
	memWord        = 6 // of an IPv6 address
)

// sampleProgram returns the program that accepts the TCP segments of a sample with snapLen bytes. It goes the way of
// tcpProgram.
func sampleProgram(l ipIn, oneIn int, snapLen uint32) ([]bpf.RawInstruction, error) {
	t := newTCPAssembler(l, nil, nil)
	t.into, t.keepIPv6 = protoTCP, true
	notIPv4, notIP := t.label(), t.reject
	if l.etherTypes {
		notIP = t.label()
	}
	t.loadProtocol(l)
	t.jumpIf(bpf.JumpEqual, l.ipv4, next, notIPv4)
	t.add(
		bpf.LoadAbsolute{Off: l.header + ipv4Protocol, Size: 1},
		bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.jump(t.protocol)
	t.place(notIPv4)
	t.jumpIf(bpf.JumpEqual, l.ipv6, next, notIP)
	t.add(
		bpf.LoadAbsolute{Off: l.header + ipv6NextHeader, Size: 1},
		bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.jump(t.extensions)
	if l.etherTypes {
		t.place(notIP)
		t.betweenEtherTypes()
	} else {
		t.place(t.protocol)
		t.decide(t.intoIPv4, t.reject)
	}
	t.ipv6()
	t.place(t.reject)
	t.add(bpf.RetConstant{Val: 0})

	ports, selected := t.label(), t.label()
	t.place(t.intoIPv4)
	t.sampleIPv4()
	t.jump(ports)
	t.place(t.intoIPv6)
	t.sampleIPv6()
	t.place(ports)
	t.samplePorts()
	t.jumpIf(bpf.JumpGreaterOrEqual, uint32(1<<32/uint64(oneIn)), next, selected)
	t.add(bpf.RetConstant{Val: 0})
	t.place(selected)
	t.add(bpf.RetConstant{Val: snapLen})
	return t.assemble()
}

// sampleIPv4 hashes both addresses and leaves the shift of the TCP header in the index register, which holds that of the
// IPv4 header. Later fragments are rejected.
func (t *tcpAssembler) sampleIPv4() {
	whole := t.label()
	t.add(bpf.LoadIndirect{Off: t.header + ipv4Fragment, Size: 2})
	t.jumpIf(bpf.JumpBitsSet, ipv4FragmentOffset, next, whole)
	t.add(bpf.RetConstant{Val: 0})
	t.place(whole)
	t.ipv4Addresses()
	t.add(
		bpf.LoadIndirect{Off: t.header, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f}, // header length in words
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{})
}

// ipv4Addresses hashes both addresses of the IPv4 header whose shift the index register holds, into memSource and
// memDestination. The index register keeps it.
func (t *tcpAssembler) ipv4Addresses() {
	t.ipv4AddressesBy(func(off uint32) bpf.Instruction { return bpf.LoadIndirect{Off: t.header + off, Size: 4} })
}

// ipv4AddressesBy is ipv4Addresses with the loads of four bytes at an offset of the header.
func (t *tcpAssembler) ipv4AddressesBy(load func(off uint32) bpf.Instruction) {
	const (
		source      = 12 // RFC 791
		destination = 16
		mapped      = 0xffff // the third word of the IPv4-mapped form, RFC 4291 section 2.5.5.2
	)
	for _, end := range []struct {
		at     uint32
		memory int
	}{{source, memSource}, {destination, memDestination}} {
		t.add(
			load(end.at),
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: mapped},
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: sampleAddress},
			bpf.StoreScratch{Src: bpf.RegA, N: end.memory})
	}
}

// sampleIPv6 is sampleIPv4 for IPv6. The index register holds the shift of what follows the headers, less the first one's
// length.
func (t *tcpAssembler) sampleIPv6() {
	t.add(
		bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: ipv6Len},
		bpf.StoreScratch{Src: bpf.RegA, N: memTransport})
	t.ipv6Addresses()
	t.add(bpf.LoadScratch{Dst: bpf.RegX, N: memTransport})
}

// ipv6Addresses is ipv4Addresses for the IPv6 header whose shift memIPv6 holds. It loses the index register, memPort and
// memWord.
func (t *tcpAssembler) ipv6Addresses() {
	t.ipv6AddressesBy(
		func() { t.add(bpf.LoadScratch{Dst: bpf.RegX, N: memIPv6}) },
		func(off uint32) bpf.Instruction { return bpf.LoadIndirect{Off: t.header + off, Size: 4} })
}

// ipv6AddressesBy is ipv6Addresses with the loads of four bytes at an offset of the header. begin goes before those of each
// address.
func (t *tcpAssembler) ipv6AddressesBy(begin func(), load func(off uint32) bpf.Instruction) {
	const (
		source      = 8 // RFC 8200
		destination = 24
	)
	for _, end := range []struct {
		at     uint32
		memory int
	}{{source, memSource}, {destination, memDestination}} {
		begin()
		// The index register may find the words, so that they cannot be added as they are loaded.
		words := []int{end.memory, memPort, memWord} // and the fourth in the accumulator
		for i, memory := range words {
			t.add(
				load(end.at+uint32(4*i)),
				bpf.StoreScratch{Src: bpf.RegA, N: memory})
		}
		t.add(load(end.at + 12))
		for _, memory := range words {
			t.add(
				bpf.LoadScratch{Dst: bpf.RegX, N: memory},
				bpf.ALUOpX{Op: bpf.ALUOpAdd})
		}
		t.add(
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: sampleAddress},
			bpf.StoreScratch{Src: bpf.RegA, N: end.memory})
	}
}

// samplePorts takes the ports to the addresses and leaves the hash in the accumulator. The index register holds the shift
// of the TCP header.
func (t *tcpAssembler) samplePorts() {
	t.loadPorts()
	t.mixPorts()
}

// loadPorts loads the ports for mixPorts. The index register holds the shift of the TCP header.
func (t *tcpAssembler) loadPorts() {
	t.add(
		bpf.LoadIndirect{Off: t.header + 2, Size: 2}, // destination port, RFC 9293 section 3.1
		bpf.StoreScratch{Src: bpf.RegA, N: memPort},
		bpf.LoadIndirect{Off: t.header, Size: 2})
}

// mixPorts is samplePorts with the source port in the accumulator and the destination port in memPort.
func (t *tcpAssembler) mixPorts() {
	end := func(address int) {
		t.add(
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: samplePort},
			bpf.LoadScratch{Dst: bpf.RegX, N: address},
			bpf.ALUOpX{Op: bpf.ALUOpAdd})
		t.xorShifted(16)
	}
	end(memSource)
	t.add(
		bpf.StoreScratch{Src: bpf.RegA, N: memSource},
		bpf.LoadScratch{Dst: bpf.RegA, N: memPort})
	end(memDestination)
	t.add(
		bpf.LoadScratch{Dst: bpf.RegX, N: memSource},
		bpf.ALUOpX{Op: bpf.ALUOpAdd})
	t.xorShifted(16)
	t.add(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: sampleMix1})
	t.xorShifted(13)
	t.add(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: sampleMix2})
}

// xorShifted takes the accumulator, shifted right by some bits, to itself.
func (t *tcpAssembler) xorShifted(bits uint32) {
	t.add(
		bpf.TAX{},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: bits},
		bpf.ALUOpX{Op: bpf.ALUOpXor})
}
