package lab

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

const (
	testMACs = "020000000002 020000000001 "
	testIPv4 = "45000014 00004000 4006 0000 0a000001 0a000002" // a bare header
)

func frameOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncapsulations(t *testing.T) {
	plain := frameOf(t, testMACs+"0800"+testIPv4)
	arp := frameOf(t, testMACs+"0806 0001 0800 0604 0001")
	for e, c := range map[Encapsulation]struct {
		frame    string
		overhead int
		arp      bool
	}{
		Dot1Q: {"8100 0064 0800" + testIPv4, 0, true},
		QinQ:  {"88a8 00c8 8100 0064 0800" + testIPv4, 8, true},
		PPPoE: {"8864 11 00 1234 0016 0021" + testIPv4, 8, false}, // length: 20 and the 2 of the protocol
		MPLS:  {"8847 003e8 0 40 003e9 1 40" + testIPv4, 8, false},
	} {
		t.Run(e.String(), func(t *testing.T) {
			want := frameOf(t, testMACs+c.frame)
			got := e.put(plain)
			if !bytes.Equal(got, want) {
				t.Fatalf("put: % x\nwant % x", got, want)
			}
			if e.overhead() != c.overhead {
				t.Errorf("overhead %d, want %d", e.overhead(), c.overhead)
			}
			if back, err := e.take(got); err != nil || !bytes.Equal(back, plain) {
				t.Errorf("take: % x, %v", back, err)
			}
			if (e.put(arp) != nil) != c.arp {
				t.Errorf("carries ARP: %v, want %v", !c.arp, c.arp)
			}
			header, _ := e.fixed()
			for n := range macLen + len(header) {
				if back, err := e.take(want[:n]); err == nil {
					t.Errorf("take of %d bytes: % x", n, back)
				}
			}
			for n := macLen; n < macLen+len(header); n++ {
				other := bytes.Clone(want)
				other[n] ^= 0x80
				if back, err := e.take(other); err == nil {
					t.Errorf("take with byte %d changed: % x", n, back)
				}
			}
		})
	}
	padded := append(PPPoE.put(plain), 0, 0, 0)
	if back, err := PPPoE.take(padded); err != nil || !bytes.Equal(back, plain) {
		t.Errorf("PPPoE with padding behind it: % x, %v", back, err)
	}
}
