package pcapfilter

import (
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// CompileLive compiles a filter as Compile does, for packets that the kernel filters: of those it may have taken
// the outer VLAN tag out of the bytes, as it does with all that it receives. The first "vlan" of the filter
// matches that tag, or if there is none a tag in the bytes; all others match tags in the bytes. So does a filter
// that libpcap compiles for an open interface.
//
// libpcap cannot do that without opening one (github.com/the-tcpdump-group/libpcap/issues/1050). But whether the
// first "vlan" matches is known before the bytes are looked at, if the kernel holds the tag. It is then no test,
// but true or false, and libpcap compiles the filter once for each:
//
//	no tag held       the filter as it is
//	tag held, it fits the filter with "greater 0", true of every packet, instead of the first "vlan"
//	tag held, another the filter with "not greater 0"
//
// Errors are as from Compile.
func CompileLive(filter string, link LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	inBytes, err := Compile(filter, link, snapLen)
	v, found := firstVLAN(filter)
	if !found || err != nil && !rejectsAll(err) {
		return inBytes, err
	}
	// One that can match with the tag in one place only, as "tcp and vlan" does not with the tag in the bytes,
	// is no error.
	contradiction := err
	compileWith := func(test string) ([]bpf.RawInstruction, error) {
		prog, err := compileText(filter[:v.begin]+test+filter[v.end:], link, snapLen)
		if err != nil && rejectsAll(err) {
			return rejectAll(), nil
		}
		if err == nil {
			contradiction = nil
		}
		return prog, err
	}
	fits, err := compileWith("(greater 0)")
	if err != nil {
		return nil, err
	}
	var another []bpf.RawInstruction
	if v.tag != anyTag {
		if another, err = compileWith("(not greater 0)"); err != nil {
			return nil, err
		}
	}
	if contradiction != nil {
		return nil, contradiction
	}
	if inBytes == nil {
		inBytes = rejectAll()
	}
	return byTag(v.tag, inBytes, fits, another)
}

// byTag puts the three programs together. another is for no tag if every tag fits.
func byTag(tag int, inBytes, fits, another []bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	const vid = 0x0fff // the bits of a tag that hold the VLAN's number, IEEE 802.1Q
	var a assembler
	toBytes, toFits, toAnother, held := a.label(), a.label(), a.label(), a.label()
	a.add(bpf.LoadExtension{Num: bpf.ExtVLANTagPresent})
	a.jumpIfFar(bpf.JumpEqual, 0, toBytes, held)
	a.place(held)
	if tag != anyTag {
		a.add(
			bpf.LoadExtension{Num: bpf.ExtVLANTag},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: vid})
		a.jumpIfFar(bpf.JumpEqual, uint32(tag), toFits, toAnother)
		a.place(toAnother)
		a.program(another)
	}
	a.place(toFits)
	a.program(fits)
	a.place(toBytes)
	a.program(inBytes)
	return a.runnable()
}

func rejectAll() []bpf.RawInstruction {
	const ret = 0x06 // BPF_RET | BPF_K
	return []bpf.RawInstruction{{Op: ret}}
}

// rejectsAll reports whether libpcap refused a filter because no packet can match it.
func rejectsAll(err error) bool { return strings.Contains(err.Error(), "rejects all packets") }

// vlanTest is a "vlan" of a filter, with its number if it has one.
type vlanTest struct {
	begin, end int // bytes of the filter
	tag        int // or anyTag
}

const anyTag = -1

// firstVLAN finds the first "vlan" of a filter that libpcap compiles. It finds none behind "geneve" or "vxlan",
// where it means a tag inside the tunnel.
func firstVLAN(filter string) (v vlanTest, found bool) {
	for at := 0; at < len(filter); {
		if filter[at] == '\\' { // what follows is a name
			at++
			at += wordLen(filter[at:])
			continue
		}
		n := wordLen(filter[at:])
		switch word := filter[at : at+n]; word {
		case "geneve", "vxlan":
			return vlanTest{}, false
		case "vlan":
			v = vlanTest{begin: at, end: at + n, tag: anyTag}
			return v.number(filter)
		}
		at += max(n, 1)
	}
	return vlanTest{}, false
}

// number takes the number behind a "vlan", which may stand in brackets.
func (v vlanTest) number(filter string) (vlanTest, bool) {
	at, open := v.end, 0
	for ; at < len(filter) && (filter[at] == '(' || strings.IndexByte(whiteSpace, filter[at]) >= 0); at++ {
		if filter[at] == '(' {
			open++
		}
	}
	n := wordLen(filter[at:])
	if n == 0 || filter[at] < '0' || filter[at] > '9' {
		return v, open == 0
	}
	// Base 0 reads 0x and 0 as C does, and so as libpcap does.
	tag, err := strconv.ParseUint(filter[at:at+n], 0, 12)
	if err != nil {
		return v, false
	}
	at += n
	for ; open > 0; at++ {
		if at == len(filter) {
			return v, false
		}
		if filter[at] == ')' {
			open--
		} else if strings.IndexByte(whiteSpace, filter[at]) < 0 {
			return v, false
		}
	}
	v.end, v.tag = at, int(tag)
	return v, true
}

// wordLen returns the length of the name, keyword or number at the beginning of a text, as libpcap's scanner.l
// cuts them: hyphens, dots and underscores are inside.
func wordLen(s string) int {
	n := 0
	for n < len(s) && (isAlphanumeric(s[n]) || n > 0 && strings.IndexByte("-_.", s[n]) >= 0) {
		n++
	}
	for n > 0 && (s[n-1] == '-' || s[n-1] == '_') {
		n--
	}
	return n
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
