package parse

import "testing"

// identified returns f with an identity.
func identified(f Flow, id uint32) Flow {
	f.SetIdentity(id)
	return f
}

// FuzzIdentity checks that an identity changes nothing else of a flow, stays with both directions, and tells flows of
// the same addresses and ports apart.
func FuzzIdentity(f *testing.F) {
	f.Add(uint64(0), uint64(v4Mapped|1), uint64(0), uint64(v4Mapped|2), uint32(1<<16|2), uint32(1), uint32(2))
	f.Add(uint64(0), uint64(v4Mapped|2), uint64(0), uint64(v4Mapped|2), uint32(7<<16|7), uint32(0), uint32(MaxIdentity))
	f.Add(uint64(1), uint64(2), uint64(1), uint64(3), uint32(0xffff<<16), uint32(MaxIdentity+1), uint32(1<<29))
	f.Fuzz(func(t *testing.T, aHi, aLo, bHi, bLo uint64, ports, id, other uint32) {
		src, dst := Addr{aHi, aLo}, Addr{bHi, bLo}
		bare := FlowOf(src, dst, uint16(ports>>16), uint16(ports))
		back := identified(FlowOf(dst, src, uint16(ports), uint16(ports>>16)), id)
		here := identified(bare, id)
		id, other = id&MaxIdentity, other&MaxIdentity
		if bare.Identity() != 0 || here.Identity() != id || here.Wide() != bare.Wide() || here.Dir() != bare.Dir() {
			t.Fatalf("%+v becomes %+v with %#x", bare, here, id)
		}
		if bare.Plain() == bare.Wide() || here.Plain() != (bare.Plain() && id == 0) {
			t.Fatalf("%+v is plain: %v, with %#x: %v", bare, bare.Plain(), id, here.Plain())
		}
		conn := here.Conn()
		if conn.Identity() != id || conn != back.Conn() || !here.Same(&back) || !here.Same(&conn) {
			t.Fatalf("%+v there, %+v back", here, back)
		}
		for dir := range 2 {
			s1, d1, sp1, dp1 := bare.Endpoints(dir)
			if s2, d2, sp2, dp2 := here.Endpoints(dir); s1 != s2 || d1 != d2 || sp1 != sp2 || dp1 != dp2 {
				t.Fatalf("%+v has other endpoints than %+v", here, bare)
			}
		}
		a1, b1, t1 := here.Words()
		a2, b2, t2 := back.Words()
		if a1 != a2 || b1 != b2 || t1 != t2 {
			t.Fatalf("the words of %+v and %+v differ", here, back)
		}
		there := identified(here, other)
		_, _, t3 := there.Words()
		if differ := id != other; here.Same(&there) == differ || t1 != t3 != differ || there.Conn() == conn == differ {
			t.Fatalf("%+v and %+v", here, there)
		}
		if there.SetIdentity(0); there != bare {
			t.Fatalf("%+v without its identity is %+v", bare, there)
		}
	})
}
