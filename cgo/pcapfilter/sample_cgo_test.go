//go:build cgo

package pcapfilter

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/net/bpf"
)

// A sample of any filter accepts what the filter and the sample of all packets do, also where libpcap's program looks for
// a VLAN tag beside the packet.
func TestSampleOfLibpcapsFilters(t *testing.T) {
	for _, filter := range []string{"", "tcp", "(tcp)", "tcp port 443", "tcp and tcp[13] & 16 != 0", "vlan and tcp", "vlan 5 and tcp port 443", "ip or ip6"} {
		prog, err := CompileLive(filter, EN10MB, snapLen)
		if err != nil {
			t.Fatal(err)
		}
		sampled := mustSample(t, prog, EN10MB, 2)
		sample := mustSample(t, everything(snapLen), EN10MB, 2)
		r := nested{rand.New(rand.NewPCG(1, 23))}
		accepted, left := 0, 0
		for range 3000 {
			packet := r.packet(EN10MB)
			if r.chance(2) {
				packet = framed(EN10MB, between(4+2*r.IntN(2), r.IntN(256), r.IntN(1<<16), r.chance(2)))
			} else {
				r.ends(packet)
			}
			meta := metadata{bpf.ExtVLANTagPresent: uint32(r.IntN(2)), bpf.ExtVLANTag: 5}
			want, _ := run(t, prog, packet, meta)
			if in, _ := run(t, sample, packet, meta); in == 0 && want != 0 {
				want = 0
				left++
			}
			if got, _ := run(t, sampled, packet, meta); got != want {
				t.Fatalf("%q, packet %x: %d, want %d", filter, packet, got, want)
			}
			if want != 0 {
				accepted++
			}
		}
		if accepted < 100 || left < 100 {
			t.Errorf("%q: of 3000 packets %d accepted and %d left out by the sample alone: they show little", filter, accepted, left)
		}
	}
}
