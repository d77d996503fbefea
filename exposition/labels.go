package exposition

import (
	"strconv"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// appendLabels appends what stands between the name and the value in each of a stream's lines: the
// labels in alphabetical order and a space. wide holds the addresses that v refers to. No value can hold
// a character that the formats escape.
func appendLabels(b []byte, v *stream.View, wide []stream.Ends) []byte {
	e := v.Ends(wide)
	b = append(b, `{dst_ip="`...)
	b = appendAddr(b, e.Dst)
	b = append(b, `",dst_port="`...)
	b = strconv.AppendUint(b, uint64(v.DstPort), 10)
	b = append(b, `",src_ip="`...)
	b = appendAddr(b, e.Src)
	b = append(b, `",src_port="`...)
	b = strconv.AppendUint(b, uint64(v.SrcPort), 10)
	if v.Finalized {
		return append(b, `",state="finalized"} `...)
	}
	return append(b, `",state="active"} `...)
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
