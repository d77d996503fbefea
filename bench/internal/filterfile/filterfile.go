// Package filterfile hands BPF programs to the bare readers in files, as tcpdump -ddd prints a program: the number of
// instructions, then a line of four decimal numbers for each (code, jt, jf, k).
package filterfile

import (
	"bytes"
	"fmt"
	"os"

	"tcp-stream-exporter/cgo/pcapfilter"

	"golang.org/x/net/bpf"
)

// snapLen is the exporter's, bytes (worker.SnapLen).
const snapLen = 192

// TCP returns the program that the exporter attaches on one Ethernet interface: the filter "tcp", which has the kernel
// copy the headers alone.
func TCP() ([]bpf.RawInstruction, error) { return program(pcapfilter.EN10MB) }

// TCPCut returns the filter "tcp" alone, which has the kernel copy so many bytes of what it takes.
func TCPCut(bytes int) ([]bpf.RawInstruction, error) {
	return pcapfilter.CompileLive("tcp", pcapfilter.EN10MB, bytes)
}

// TCPAny returns the program that takes the same packets from all interfaces, as the exporter's for -interface any does
// where it has too many to name.
func TCPAny() ([]bpf.RawInstruction, error) {
	ethernet, err := program(pcapfilter.EN10MB)
	if err != nil {
		return nil, err
	}
	raw, err := program(pcapfilter.Raw)
	if err != nil {
		return nil, err
	}
	return pcapfilter.ByHardwareType(ethernet, raw)
}

func program(link pcapfilter.LinkType) ([]bpf.RawInstruction, error) {
	prog, err := pcapfilter.CompileLive("tcp", link, snapLen)
	if err != nil {
		return nil, err
	}
	return pcapfilter.HeadersOnly(prog, link), nil
}

// Write writes a program's file.
func Write(path string, prog []bpf.RawInstruction) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, len(prog))
	for _, in := range prog {
		fmt.Fprintln(&b, in.Op, in.Jt, in.Jf, in.K)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// Read reads a program's file.
func Read(path string) ([]bpf.RawInstruction, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := bytes.NewReader(text)
	var n int
	if _, err := fmt.Fscan(r, &n); err != nil || n < 1 || n > 4096 { // BPF_MAXINSNS
		return nil, fmt.Errorf("%s: want a program as tcpdump -ddd prints it", path)
	}
	prog := make([]bpf.RawInstruction, n)
	for i := range prog {
		in := &prog[i]
		if _, err := fmt.Fscan(r, &in.Op, &in.Jt, &in.Jf, &in.K); err != nil {
			return nil, fmt.Errorf("%s: instruction %d of %d: %w", path, i+1, n, err)
		}
	}
	return prog, nil
}
