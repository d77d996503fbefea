package parse

import "testing"

func TestDirectionsShareOneFlow(t *testing.T) {
	addrs := []Addr{AddrFrom4(1), AddrFrom4(0xffffffff), {Hi: 1, Lo: 5}, {Hi: 5, Lo: 1}, {Lo: 1 << 63}, {Lo: 5}, {Hi: 1, Lo: v4Mapped | 1}}
	for _, src := range addrs {
		for _, dst := range addrs {
			for _, ports := range [][2]uint16{{1, 2}, {2, 1}, {7, 7}, {0xffff, 0}} {
				there, back := FlowOf(src, dst, ports[0], ports[1]), FlowOf(dst, src, ports[1], ports[0])
				if there.Conn() != back.Conn() || !there.Same(&back) || there.Wide() != (!src.Is4() || !dst.Is4()) {
					t.Fatalf("%+v there, %+v back", there, back)
				}
				if self := src == dst && ports[0] == ports[1]; !self && there.Dir() == back.Dir() {
					t.Fatalf("%+v has direction %d both ways", there, there.Dir())
				}
				s, d, sp, dp := there.Endpoints(int(there.Dir()))
				if s != src || d != dst || sp != ports[0] || dp != ports[1] {
					t.Fatalf("%+v comes back as %v:%d → %v:%d", there, s, sp, d, dp)
				}
			}
		}
	}
}

// Flows that differ in one thing are not the same, and none is the one that no segment has.
func TestFlowsThatDiffer(t *testing.T) {
	a, b := AddrFrom4(0x0a000001), AddrFrom4(0x0a000002)
	wide := Addr{Hi: 0x20010db8 << 32, Lo: a.Lo}
	flows := []Flow{
		FlowOf(a, b, 1, 2), FlowOf(a, b, 1, 3), FlowOf(a, b, 2, 1), FlowOf(a, a, 1, 2), FlowOf(b, b, 1, 2), FlowOf(wide, b, 1, 2),
		FlowOf(a, wide, 1, 2), FlowOf(wide, wide, 1, 2), FlowOf(Addr{}, Addr{}, 0, 0), FlowOf(Addr{^uint64(0), ^uint64(0)}, Addr{}, 0, 0),
		FlowOf(Addr{Hi: 1, Lo: a.Lo}, b, 1, 2), NoFlow(),
		identified(FlowOf(a, b, 1, 2), 1), identified(FlowOf(a, b, 1, 2), MaxIdentity), identified(FlowOf(a, b, 1, 2), 1<<29),
		identified(FlowOf(wide, b, 1, 2), 1), identified(FlowOf(wide, b, 1, 2), 1<<29),
	}
	for i := range flows {
		for j := range flows {
			if flows[i].Same(&flows[j]) != (i == j) {
				t.Errorf("%+v and %+v", flows[i], flows[j])
			}
		}
	}
}
