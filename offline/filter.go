package offline

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
)

// fileFilter applies -packet-filter, or -packet-filter-file, and -sample to the packets of a file, where no kernel does it.
// A file may hold several link types: the filter is compiled for each when its first packet comes.
type fileFilter struct {
	expr     string
	given    []bpf.RawInstruction      // the filter instead of expr, for packets of one link type; or nil
	outer    pcapfilter.Outer          // packets that pass whatever expr says
	flag     func(string) string       // shows a flag as typed
	programs map[uint32]*filterProgram // by link type number
	rejected uint64

	sample    parse.Sample
	segment   parse.Segment // of the packet at hand
	unsampled uint64        // that the filter accepted and the sample did not
}

func newFileFilter(expr string, given []bpf.RawInstruction, tunnels parse.Tunnels, sample parse.Sample, flag func(string) string) *fileFilter {
	f := &fileFilter{expr: strings.TrimSpace(expr), given: given, flag: flag, programs: map[uint32]*filterProgram{}, sample: sample}
	f.outer.Protocols, f.outer.Ports = tunnels.Outer()
	return f
}

// accepts reports whether the filter accepts a packet and its connection is in the sample. What gives no TCP segment
// is in every sample: it is counted, with the reason, where the others are accounted. The error is that of passes.
func (f *fileFilter) accepts(p *pcapfile.Packet) (bool, error) {
	ok, err := f.passes(p)
	if ok && !f.sample.All() && parse.Frame(p.Link, p.Data, p.WireLen, &f.segment) == parse.OK && !f.sample.Selects(&f.segment.Flow) {
		f.unsampled++
		ok = false
	}
	return ok, err
}

// passes runs the filter on one packet. The error is that it cannot be compiled for the packet's
// link type, or cannot run on a file. Packets of a link type that is not decoded pass: they are
// counted where the others are decoded.
func (f *fileFilter) passes(p *pcapfile.Packet) (bool, error) {
	if f.expr == "" && f.given == nil || p.Link == parse.LinkUnknown {
		return true, nil
	}
	program := f.programs[p.DLT]
	if program == nil {
		var err error
		if program, err = f.compile(p.DLT); err != nil {
			return false, err
		}
		f.programs[p.DLT] = program
	}
	ok := program.accepts(p.Data, p.WireLen)
	if !ok {
		f.rejected++
	}
	return ok, nil
}

// compile returns the filter for packets of a link type.
func (f *fileFilter) compile(dlt uint32) (*filterProgram, error) {
	link := dltOfLinkType(dlt)
	if f.given != nil {
		for other := range f.programs {
			if dltOfLinkType(other) != link {
				return nil, fmt.Errorf("%s: a program is for one link type, and there are packets of types %d and %d: read them one after the other, with a file for each",
					f.flag("packet-filter-file"), other, dlt)
			}
		}
		program, err := newFilterProgram(f.given, f.outer, link)
		if errors.Is(err, errLiveOnly) {
			err = errProgramLiveOnly
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.flag("packet-filter-file"), err)
		}
		return program, nil
	}
	raw, err := pcapfilter.Compile(f.expr, link, pcapfilter.MaxSnapLen)
	var program *filterProgram
	if err == nil {
		program, err = newFilterProgram(raw, f.outer, link)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.flag("packet-filter"), err)
	}
	return program, nil
}

// filterProgram is a filter for one link type.
type filterProgram struct {
	instructions []bpf.Instruction
	vm           *bpf.VM
	asksLength   bool
	byLength     map[uint32]*bpf.VM // programs that know the length on the wire
}

var (
	errLiveOnly        = errors.New("it asks for what only a live capture knows (inbound, outbound, ifindex): leave that out with -read")
	errProgramLiveOnly = errors.New("it asks for what only a live capture knows (VLAN tags beside the packet, inbound, outbound, ifindex): write one with tcpdump -y instead of -i")
)

// newFilterProgram returns the filter that raw is, or the outer packets of tunnels.
func newFilterProgram(raw []bpf.RawInstruction, outer pcapfilter.Outer, link pcapfilter.LinkType) (*filterProgram, error) {
	raw, err := pcapfilter.OrOuter(raw, link, outer, pcapfilter.MaxSnapLen)
	if err != nil {
		return nil, err
	}
	p := &filterProgram{byLength: map[uint32]*bpf.VM{}}
	var known bool
	if p.instructions, known = bpf.Disassemble(raw); !known {
		return nil, errors.New("it needs BPF instructions that do not run on a file: write it in another way")
	}
	for i, in := range p.instructions {
		switch in := in.(type) {
		case bpf.LoadExtension:
			if in.Num != bpf.ExtLen {
				return nil, errLiveOnly
			}
			p.asksLength = true
		case bpf.LoadAbsolute:
			if in.Off > math.MaxInt32 { // SKF_LL_OFF and SKF_NET_OFF (linux/filter.h), which the machine takes for an offset
				return nil, errLiveOnly
			}
		case bpf.NegateA:
			// The machine does not know it and would reject every packet. Multiplied by 2³²-1 it is
			// the same.
			p.instructions[i] = bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: math.MaxUint32}
		}
	}
	if p.vm, err = bpf.NewVM(p.instructions); err != nil {
		return nil, fmt.Errorf("it does not run on a file: %w: write it in another way", err)
	}
	return p, nil
}

// dltOfLinkType turns a file's link type number into libpcap's: they differ for raw IP only.
func dltOfLinkType(linkType uint32) pcapfilter.LinkType {
	if linkType == 101 {
		return pcapfilter.Raw
	}
	return pcapfilter.LinkType(linkType)
}

func (p *filterProgram) accepts(data []byte, wireLen uint32) bool {
	vm := p.vm
	if p.asksLength && int(wireLen) != len(data) {
		vm = p.forLength(wireLen)
	}
	n, err := vm.Run(data)
	return err == nil && n != 0
}

// maxLengths bounds how many programs are kept.
const maxLengths = 4096

// forLength returns the program for packets of one length on the wire. The machine takes the captured
// length for "len", "greater" and "less", where libpcap and the kernel take the length on the wire.
func (p *filterProgram) forLength(wireLen uint32) *bpf.VM {
	if vm := p.byLength[wireLen]; vm != nil {
		return vm
	}
	with := make([]bpf.Instruction, len(p.instructions))
	for i, in := range p.instructions {
		if _, ok := in.(bpf.LoadExtension); ok {
			in = bpf.LoadConstant{Dst: bpf.RegA, Val: wireLen}
		}
		with[i] = in
	}
	vm, err := bpf.NewVM(with)
	if err != nil { // it differs from a program that is known to run in a constant only
		vm = p.vm
	}
	if len(p.byLength) >= maxLengths {
		clear(p.byLength)
	}
	p.byLength[wireLen] = vm
	return vm
}
