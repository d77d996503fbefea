package app

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/cgo/pcapfilter"
)

// filterFlags holds the filter: its text, or the program that a file has.
type filterFlags struct {
	text string // in pcap-filter(7)'s language
	file string // of a program; empty: the filter is text

	program []bpf.RawInstruction // of file
	// kind is what the program's packets begin with: what those of the interface do that it was first used for. 0 before that.
	kind pcapfilter.LinkType
}

func (f *filterFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.text, "packet-filter", "tcp", "packet `filter` in tcpdump's language, pcap-filter(7); empty: every packet")
	fs.StringVar(&f.file, "packet-filter-file", "", "`file` with the packet filter as a program, which tcpdump -ddd has written for the link type of the interface, instead of -packet-filter (default: none)")
}

// resolve reads the program. flag returns a flag as typed.
func (f *filterFlags) resolve(given map[string]bool, snapLen int, flag func(string) string) error {
	if !given["packet-filter-file"] {
		return nil
	}
	where := flag("packet-filter-file")
	if given["packet-filter"] {
		return fmt.Errorf("%s and %s: they are two ways to give one filter, leave one out", flag("packet-filter"), where)
	}
	const remedy = "name a file that tcpdump -ddd has written"
	if f.file == "" {
		return fmt.Errorf("%s: %s", where, remedy)
	}
	unreadable := func(err error) error {
		if reason := syscall.Errno(0); errors.As(err, &reason) {
			err = reason // the path is in front of it
		}
		return fmt.Errorf("%s: %w: %s", where, err, remedy)
	}
	in, err := os.Open(f.file)
	if err != nil {
		return unreadable(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return unreadable(err)
	}
	if f.program, err = pcapfilter.ReadProgram(in, snapLen); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// isProgram reports whether the filter is one of a file.
func (f *filterFlags) isProgram() bool { return f.file != "" }

// flagName returns the name of the flag that gives the filter.
func (f *filterFlags) flagName() string {
	if f.isProgram() {
		return "packet-filter-file"
	}
	return "packet-filter"
}

// shown returns the filter for people. It need not be UTF-8.
func (f *filterFlags) shown() string {
	if f.isProgram() {
		return "the program in " + f.file
	}
	return f.text
}

// compile returns the filter's program for live packets that begin with a header of this kind.
func (f *filterFlags) compile(kind pcapfilter.LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	if !f.isProgram() {
		return pcapfilter.CompileLive(f.text, kind, snapLen)
	}
	if f.kind != 0 && f.kind != kind {
		return nil, fmt.Errorf("a program is for one link type, and this one is used for %s, not for %s: leave those to an exporter of their own, with a file for them",
			kindText(f.kind), kindText(kind))
	}
	return f.program, nil
}

// use notes what the packets begin with that the filter is used for.
func (f *filterFlags) use(kind pcapfilter.LinkType) {
	if f.kind == 0 {
		f.kind = kind
	}
}

// kindText says what interfaces of a kind carry.
func kindText(kind pcapfilter.LinkType) string {
	if kind == pcapfilter.Raw {
		return "IP packets without a link header"
	}
	return "Ethernet frames"
}
