package exposition

import (
	"strconv"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/printable"
	"tcp-stream-exporter/stream"
)

// appendLabels appends what stands between the name and the value in each line of stream v of s: the labels in
// alphabetical order and a space. Only an interface's name can hold a character that the formats escape.
//
// A stream without an interface or a VLAN in its identity has no such label: to Prometheus an empty one is the same.
func (s *Streams) appendLabels(b []byte, v *stream.View) []byte {
	e := v.Ends(s.Wide)
	b = append(b, `{dst_ip="`...)
	b = appendAddr(b, e.Dst)
	b = append(b, `",dst_port="`...)
	b = strconv.AppendUint(b, uint64(v.DstPort), 10)
	if e.IfIndex != 0 || e.Shared {
		b = append(b, `",interface="`...)
		b = s.appendInterface(b, &e.Origin)
	}
	b = append(b, `",src_ip="`...)
	b = appendAddr(b, e.Src)
	b = append(b, `",src_port="`...)
	b = strconv.AppendUint(b, uint64(v.SrcPort), 10)
	if v.Finalized {
		b = append(b, `",state="finalized"`...)
	} else {
		b = append(b, `",state="active"`...)
	}
	if e.VLANs != 0 {
		b = append(b, `,vlan="`...)
		b = append(e.VLANs.AppendTo(b), '"')
	}
	return append(b, `} `...)
}

// allOthers is the interface of streams with a shared origin. No interface has this name: the kernel takes none with a
// space (dev_valid_name in net/core/dev.c).
const allOthers = "all others"

// appendInterface appends the name of o's interface.
func (s *Streams) appendInterface(b []byte, o *stream.Origin) []byte {
	if name := s.nameOf(o); name != "" {
		return appendEscaped(b, name)
	}
	return strconv.AppendUint(b, uint64(o.IfIndex), 10)
}

// Interface returns the name of o's interface as text, or its index if it has none any more. "all others" stands for
// a shared origin.
func (s *Streams) Interface(o *stream.Origin) string {
	if name := s.nameOf(o); name != "" {
		return name
	}
	return strconv.FormatUint(uint64(o.IfIndex), 10)
}

// nameOf returns the name of o's interface as text, or "" if it has none any more.
func (s *Streams) nameOf(o *stream.Origin) string {
	switch {
	case o.Shared:
		return allOthers
	case s.InterfaceName == nil:
		return ""
	}
	return printable.Text(s.InterfaceName(o.IfIndex))
}

// appendEscaped appends a label value as both formats escape it.
func appendEscaped(b []byte, value string) []byte {
	for _, c := range []byte(value) { // bytes of other characters are none of these
		switch c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendAddr appends a as net/netip writes it: IPv4 dotted, IPv6 by RFC 5952.
func appendAddr(b []byte, a parse.Addr) []byte {
	if !a.Is4() {
		return a.Netip().AppendTo(b)
	}
	b = append(appendOctet(b, byte(a.Lo>>24)), '.')
	b = append(appendOctet(b, byte(a.Lo>>16)), '.')
	b = append(appendOctet(b, byte(a.Lo>>8)), '.')
	return appendOctet(b, byte(a.Lo))
}

// appendOctet appends o in decimal.
func appendOctet(b []byte, o byte) []byte {
	switch {
	case o >= 100:
		return append(b, '0'+o/100, '0'+o/10%10, '0'+o%10)
	case o >= 10:
		return append(b, '0'+o/10, '0'+o%10)
	}
	return append(b, '0'+o)
}
