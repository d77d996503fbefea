package pcapfilter

import "golang.org/x/net/bpf"

type Target struct {
	IfIndex int
	Link    LinkType
}

func ByInterface(targets []Target, ethernet, raw []bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	return ethernet, nil
}

func ByHatype(ethernet, raw []bpf.RawInstruction) ([]bpf.RawInstruction, error) { return ethernet, nil }
