package exposition

import (
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
)

func TestEveryOctet(t *testing.T) {
	for o := range 256 {
		a := expositiontest.Addr("0.0.0.0")
		a.Lo |= uint64(o)<<24 | uint64(255-o)<<16 | uint64(o^0x55)<<8 | uint64(o)
		if got, want := string(appendAddr(nil, a)), a.Netip().String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
