package parse

import (
	"slices"
	"strings"
	"testing"
)

func vlans(tcis ...uint16) (v VLANs) {
	for _, tci := range tcis {
		v = v.Push(tci)
	}
	return v
}

func TestVLANsOfAFrame(t *testing.T) {
	p := data(10)
	for _, c := range []struct {
		name  string
		link  Link
		b     []byte
		outer VLANs
		text  string
	}{
		{"no tag", LinkEthernet, p.Ethernet(), 0, ""},
		{"one tag", LinkEthernet, p.Ethernet(0x8100_000a), 0, "10"},
		{"priority and drop eligibility do not count", LinkEthernet, p.Ethernet(0x8100_f00a), 0, "10"},
		{"the largest", LinkEthernet, p.Ethernet(0x8100_0fff), 0, "4095"},
		{"802.1ad outside, 802.1Q inside", LinkEthernet, p.Ethernet(0x88a8_0064, 0x8100_00c8), 0, "100.200"},
		{"QinQ of before 802.1ad", LinkEthernet, p.Ethernet(0x9100_0064, 0x8100_00c8), 0, "100.200"},
		{"a third tag changes nothing", LinkEthernet, p.Ethernet(0x88a8_0001, 0x8100_0002, 0x8100_0003), 0, "1.2"},
		{"a priority tag is none", LinkEthernet, p.Ethernet(0x8100_a000), 0, ""},
		{"a priority tag outside", LinkEthernet, p.Ethernet(0x8100_a000, 0x8100_0007), 0, "7"},
		{"a priority tag inside", LinkEthernet, p.Ethernet(0x88a8_0007, 0x8100_a000), 0, "7"},
		{"the outer tag beside the frame", LinkEthernet, p.Ethernet(), vlans(5), "5"},
		{"the outer tag beside the frame, the inner one in it", LinkEthernet, p.Ethernet(0x8100_0006), vlans(5), "5.6"},
		{"a priority tag beside the frame", LinkEthernet, p.Ethernet(0x8100_0006), vlans(0xe000), "6"},
		{"IPv6", LinkEthernet, v6(5).Ethernet(0x8100_0006), 0, "6"},
		{"the ninth tag is not looked at", LinkEthernet, p.Ethernet(0x8100_0000, 0x8100_0000, 0x8100_0000, 0x8100_0000,
			0x8100_0000, 0x8100_0000, 0x8100_0000, 0x8100_0000, 0x8100_0006), 0, ""},
		{"cooked v1", LinkSLL, slices.Concat(make([]byte, 14), p.Ethernet(0x8100_0006)[12:]), 0, "6"},
		{"cooked v2", LinkSLL2, slices.Concat([]byte{0x81, 0}, make([]byte, 18), []byte{0, 6, 8, 0}, p.IP()), 0, "6"},
		{"raw IP has none", LinkRaw, slices.Concat([]byte{0x45}, make([]byte, 11), p.Ethernet(0x8100_0006)[12:]), 0, ""},
	} {
		got := FrameVLANs(c.link, c.b, c.outer)
		count := len(strings.FieldsFunc(c.text, func(r rune) bool { return r == '.' }))
		if text := string(got.AppendTo(nil)); text != c.text || got.Count() != count {
			t.Errorf("%s: %q, %d of them; want %q", c.name, text, got.Count(), c.text)
		}
		for n := range c.b {
			cut := FrameVLANs(c.link, c.b[:n:n], c.outer)
			if text := string(cut.AppendTo(nil)); !strings.HasPrefix(c.text, text) {
				t.Errorf("%s, cut at %d: %q", c.name, n, text)
			}
		}
	}
}

// Every value is told from every other one, by itself and as text, and says what was pushed.
func TestVLANsAreDifferent(t *testing.T) {
	ids := []uint16{1, 2, 9, 10, 12, 255, 256, 4094, 4095}
	all, texts := map[VLANs]bool{0: true}, map[string]bool{"": true}
	note := func(v VLANs, outer, inner uint16, count int) {
		text := string(v.AppendTo(nil))
		if all[v] || texts[text] || v >= 1<<VLANBits {
			t.Errorf("%#x %q is there already, or too large", v, text)
		}
		all[v], texts[text] = true, true
		if v.Outer() != outer || v.Inner() != inner || v.Count() != count {
			t.Errorf("%#x: %d.%d, %d of them; want %d.%d, %d", v, v.Outer(), v.Inner(), v.Count(), outer, inner, count)
		}
	}
	for _, outer := range ids {
		note(vlans(outer), outer, 0, 1)
		for _, inner := range ids {
			note(vlans(outer, inner), outer, inner, 2)
		}
	}
}
