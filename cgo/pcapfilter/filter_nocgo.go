//go:build !cgo

package pcapfilter

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/bpf"
)

// Available is false: this build has no libpcap and compiles only "tcp" and the empty filter.
const Available = false

var errNoLibpcap = errors.New(`this build has no libpcap and knows only "tcp" and the empty filter: ` +
	"build with CGO_ENABLED=1 and libpcap's headers (Debian: libpcap-dev) for all others, or give them by -packet-filter-file")

// compile knows the empty filter, of white space alone, as libpcap does.
func compile(filter string, link LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	switch strings.Trim(filter, whiteSpace) {
	case "":
		return acceptAll(snapLen)
	case "tcp": // compileText makes it for the link types that it knows
		return nil, fmt.Errorf("this build has no libpcap and knows no link type %d: "+
			"build with CGO_ENABLED=1 and libpcap's headers (Debian: libpcap-dev)", link)
	}
	return nil, errNoLibpcap
}

// acceptAll returns the program of the empty filter.
func acceptAll(snapLen int) ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: uint32(snapLen)}})
}

// Version returns libpcap's name and version, "none" in a build without libpcap.
func Version() string { return "none" }
