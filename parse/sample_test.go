package parse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// sampleFlows are sets of connections that differ in little, as those of a network do.
func sampleFlows(n int) map[string][]Flow {
	sets := map[string][]Flow{}
	r := rand.New(rand.NewPCG(4, 20))
	v6 := func(last uint64) Addr { return Addr{0x20010db8 << 32, last} }
	const web = 0xc0000250 // 192.0.2.80
	for i := range n {
		x := uint32(i)
		add := func(name string, src, dst Addr, srcPort, dstPort uint16) {
			sets[name] = append(sets[name], FlowOf(src, dst, srcPort, dstPort))
		}
		add("random", AddrFrom4(r.Uint32()), AddrFrom4(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32()))
		add("random IPv6", Addr{r.Uint64(), r.Uint64()}, Addr{r.Uint64(), r.Uint64()}, uint16(r.Uint32()), uint16(r.Uint32()))
		add("client ports in a row", AddrFrom4(0x0a000001), AddrFrom4(web), uint16(x), 443)
		add("even client ports", AddrFrom4(0x0a000001), AddrFrom4(web), uint16(2*x), uint16(443+x>>15))
		add("last byte of the client, and 256 ports", AddrFrom4(0x0a000000|x&0xff), AddrFrom4(web), uint16(40000+x>>8), 443)
		add("clients in a row, one port", AddrFrom4(0x0a000000+x), AddrFrom4(web), 40000, 443)
		add("first bytes of the client, one port", AddrFrom4(x<<16|1), AddrFrom4(web), 40000, 443)
		add("256 clients and 256 servers, one port", AddrFrom4(0x0a000000|x&0xff), AddrFrom4(0x0a000100|x>>8), 40000, 443)
		add("one port at both ends", AddrFrom4(0x0a000000|x&0xff), AddrFrom4(0x0a000100|x>>8), 179, 179)
		add("the same address at both ends", AddrFrom4(0x7f000001), AddrFrom4(0x7f000001), uint16(x), 80)
		add("IPv6 clients in a row", v6(uint64(x)), v6(1<<63), 40000, 443)
		add("IPv6 networks in a row", Addr{0x20010db8<<32 | uint64(x), 1}, v6(1<<63), 40000, 443)
		add("IPv6 client ports", v6(5), v6(1<<63), uint16(x), 443)
	}
	return sets
}

// TestSampleShare wants a sample of one in N to have 1/N of the connections of each set, within five standard deviations
// of what independent choices would give.
func TestSampleShare(t *testing.T) {
	const n = 1 << 16
	for name, flows := range sampleFlows(n) {
		for _, oneIn := range []int{2, 3, 10, 64, 100, 1000} {
			t.Run(fmt.Sprintf("%s/%d", name, oneIn), func(t *testing.T) {
				s := OneIn(oneIn)
				selected := 0
				for i := range flows {
					if s.Selects(&flows[i]) {
						selected++
					}
				}
				p := 1 / float64(oneIn)
				want, deviation := n*p, math.Sqrt(n*p*(1-p))
				if math.Abs(float64(selected)-want) > 5*deviation {
					t.Errorf("%d of %d connections selected, want %.0f ± %.0f", selected, n, want, 5*deviation)
				}
			})
		}
	}
}

// Neighbours must be chosen independently of each other, or a network's hosts would be taken or left in rows.
func TestSampleOfNeighbours(t *testing.T) {
	const n = 1 << 16
	s := OneIn(4)
	for name, flows := range sampleFlows(n) {
		both := 0
		for i := 1; i < len(flows); i++ {
			if s.Selects(&flows[i-1]) && s.Selects(&flows[i]) {
				both++
			}
		}
		want, deviation := float64(n)/16, math.Sqrt(float64(n)/16) // pairs overlap, which widens it
		if math.Abs(float64(both)-want) > 8*deviation {
			t.Errorf("%s: %d pairs of neighbours selected, want %.0f ± %.0f", name, both, want, 8*deviation)
		}
	}
}

func TestSampleTakesBothDirections(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 20))
	for range 10_000 {
		a, b := Addr{r.Uint64(), r.Uint64()}, Addr{r.Uint64(), r.Uint64()}
		if r.IntN(2) == 0 {
			a, b = AddrFrom4(r.Uint32()), AddrFrom4(r.Uint32())
		}
		p, q := uint16(r.Uint32()), uint16(r.Uint32())
		there, back := FlowOf(a, b, p, q), FlowOf(b, a, q, p)
		if there.sampleHash() != back.sampleHash() {
			t.Fatalf("%v port %d to %v port %d: %#x, back %#x", a.Netip(), p, b.Netip(), q, there.sampleHash(), back.sampleHash())
		}
	}
}

// The hash is part of what users rely on: captures of several versions and places select the same.
func TestSampleIsFixed(t *testing.T) {
	f := FlowOf(AddrFrom4(0x0a000001), AddrFrom4(0xc0000250), 40000, 443)
	if got, want := f.sampleHash(), uint32(0xde8ef8d2); got != want {
		t.Errorf("10.0.0.1:40000 to 192.0.2.80:443: %#x, want %#x", got, want)
	}
	f = FlowOf(Addr{0x20010db800000000, 1}, Addr{0x20010db800000000, 2}, 40000, 443)
	if got, want := f.sampleHash(), uint32(0x34257e8d); got != want {
		t.Errorf("[2001:db8::1]:40000 to [2001:db8::2]:443: %#x, want %#x", got, want)
	}
}

func TestSamplesAreNested(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 20))
	for range 10_000 {
		f := FlowOf(AddrFrom4(r.Uint32()), AddrFrom4(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32()))
		n := 1 + r.IntN(40)
		if OneIn(n+1).Selects(&f) && !OneIn(n).Selects(&f) {
			t.Fatalf("%v is one in %d and not one in %d", f, n+1, n)
		}
	}
}

func TestSampleOfAll(t *testing.T) {
	f := FlowOf(AddrFrom4(1), AddrFrom4(2), 3, 4)
	for _, n := range []int{-1, 0, 1, MaxSample + 1} {
		if s := OneIn(n); !s.All() || !s.Selects(&f) {
			t.Errorf("one in %d is not all", n)
		}
	}
	if OneIn(2).All() || OneIn(MaxSample).All() || OneIn(MaxSample).below != MaxSample {
		t.Errorf("one in 2 and one in %d are all, or %d hashes of 2³²", MaxSample, OneIn(MaxSample).below)
	}
}
