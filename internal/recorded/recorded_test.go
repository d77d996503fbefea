package recorded

import "testing"

func TestFrames(t *testing.T) {
	for name, c := range map[string]struct {
		file       []byte
		etherType  int // where it stands in a frame
		ipv4, ipv6 int // frames of each at least
	}{
		"ethernet": {Ethernet, 12, 150, 40},
		"cooked":   {Cooked, 14, 50, 0},
	} {
		ipv4, ipv6 := 0, 0
		for _, f := range Frames(c.file) {
			if len(f.Data) > int(f.WireLen) || len(f.Data) > 118 {
				t.Errorf("%s: %d bytes of %d", name, len(f.Data), f.WireLen)
			}
			switch uint16(f.Data[c.etherType])<<8 | uint16(f.Data[c.etherType+1]) {
			case 0x0800:
				ipv4++
			case 0x86dd:
				ipv6++
			}
		}
		if ipv4 < c.ipv4 || ipv6 < c.ipv6 {
			t.Errorf("%s: %d IPv4 and %d IPv6 frames, want %d and %d at least", name, ipv4, ipv6, c.ipv4, c.ipv6)
		}
	}
}
