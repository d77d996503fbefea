package group

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tcp-stream-exporter/parse"
)

// build returns the Set of a file's text, with the default services.
func build(t testing.TB, names *Names, text string) *Set {
	t.Helper()
	b := NewBuilder(names, MaxGroups)
	if err := b.AddFile("file", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return done(t, b)
}

func done(t testing.TB, b *Builder) *Set {
	t.Helper()
	services, err := ParseServices(DefaultServices)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Build(services, "the limit")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addr(text string) parse.Addr { return parse.AddrFrom(netip.MustParseAddr(text)) }

func TestFind(t *testing.T) {
	s := build(t, new(Names), `
office      10.1.0.0/16 192.0.2.1 2001:db8:1::/48
lab         10.1.7.0/24
subscribers/24 100.64.0.0/10
homes/56    2001:db8:8000::/33
hosts/32    10.2.0.0/16
nets/64     2001:db8:2::/64
v6          ::/0
`)
	for _, row := range []struct{ addr, want string }{
		{"10.1.0.0", "office"},
		{"10.1.255.255", "office"},
		{"10.1.7.0", "lab"},
		{"10.1.7.255", "lab"},
		{"10.1.8.0", "office"},
		{"10.0.255.255", "other"},
		{"192.0.2.1", "office"},
		{"192.0.2.0", "other"},
		{"192.0.2.2", "other"},
		{"100.64.0.0", "100.64.0.0/24"},
		{"100.64.0.255", "100.64.0.0/24"},
		{"100.127.255.255", "100.127.255.0/24"},
		{"100.128.0.0", "other"},
		{"10.2.3.4", "10.2.3.4/32"},
		{"2001:db8:1::1", "office"},
		{"2001:db8:8000:1ff::1", "2001:db8:8000:100::/56"},
		{"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:ffff:ff00::/56"},
		{"2001:db8:2::1", "2001:db8:2::/64"},
		{"2001:db8:2:0:ffff::", "2001:db8:2::/64"},
		{"2001:db8:2:1::", "v6"},
		{"::1", "v6"},
		{"::ffff:1.2.3.4", "other"}, // an IPv4 address, which no IPv6 prefix has
	} {
		if got := s.Label(s.Find(addr(row.addr))); got != row.want {
			t.Errorf("%s is in %s, want %s", row.addr, got, row.want)
		}
	}
	if s.Groups() != 7 || s.Prefixes() != 9 {
		t.Errorf("%d groups, %d prefixes, want 7 and 9", s.Groups(), s.Prefixes())
	}
	if a, b := s.Find(addr("100.64.1.2")), s.Find(addr("100.64.1.3")); a != b {
		t.Errorf("two addresses of a subnet are %v and %v", a, b)
	}
}

func TestService(t *testing.T) {
	s := build(t, new(Names), "")
	for port := range 1 << 16 {
		want := uint16(0)
		if slices.Contains(strings.Split(DefaultServices, ","), fmt.Sprint(port)) {
			want = uint16(port)
		}
		if got := s.Service(uint16(port)); got != want {
			t.Errorf("port %d is service %d, want %d", port, got, want)
		}
	}
}

func TestWithoutASet(t *testing.T) {
	var s *Set
	if m := s.Find(addr("10.0.0.1")); m != (Member{}) {
		t.Errorf("the group is %v", m)
	}
	if got := s.Service(443); got != 0 {
		t.Errorf("port 443 is service %d", got)
	}
	if got := s.Label(Member{Name: 7}) + s.Label(Member{}); got != "otherother" {
		t.Errorf("the labels are %q", got)
	}
}

// TestFindAgainstASearch compares with a search of all prefixes, for random nested ones of both families.
func TestFindAgainstASearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		prefixes := nested(r, 300)
		lengths := make([]int, 12)
		text := make([]strings.Builder, len(lengths))
		owner := map[netip.Prefix]int{}
		for g := range lengths {
			if g%3 == 2 { // split, one family each
				lengths[g] = []int{32, 64}[g/3%2] - r.IntN(16)
			}
		}
		for _, p := range prefixes {
			g := r.IntN(len(lengths))
			if l := lengths[g]; l != 0 && (l < p.Bits() || p.Addr().Is4() != (g/3%2 == 0)) {
				g -= g % 3 // one that is not split
			}
			owner[p] = g
			fmt.Fprintf(&text[g], " %s", p)
		}
		var file strings.Builder
		for g := range lengths {
			switch {
			case text[g].Len() == 0:
			case lengths[g] != 0:
				fmt.Fprintf(&file, "g%d/%d%s\n", g, lengths[g], &text[g])
			default:
				fmt.Fprintf(&file, "g%d%s\n", g, &text[g])
			}
		}
		s := build(t, new(Names), file.String())
		for range 2000 {
			a := within(r, prefixes[r.IntN(len(prefixes))])
			best := netip.Prefix{}
			for _, p := range prefixes {
				if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
					best = p
				}
			}
			want := Other
			if best.IsValid() {
				g := owner[best]
				want = fmt.Sprintf("g%d", g)
				if lengths[g] != 0 {
					subnet, err := a.Prefix(lengths[g])
					if err != nil {
						t.Fatal(err)
					}
					want = subnet.String()
				}
			}
			if got := s.Label(s.Find(parse.AddrFrom(a))); got != want {
				t.Fatalf("%s, whose longest prefix is %s, is in %s, want %s of\n%s", a, best, got, want, &file)
			}
		}
	}
}

// nested returns n different prefixes of both families, many of which are within others.
func nested(r *rand.Rand, n int) []netip.Prefix {
	seen := map[netip.Prefix]bool{}
	all := make([]netip.Prefix, 0, n)
	for len(all) < n {
		var p netip.Prefix
		var err error
		switch {
		case len(all) > 0 && r.IntN(2) == 0:
			outer := all[r.IntN(len(all))]
			most := 64
			if outer.Addr().Is4() {
				most = 32
			}
			p, err = within(r, outer).Prefix(min(outer.Bits()+r.IntN(9), max(most, outer.Bits())))
		case r.IntN(3) == 0:
			p, err = within(r, netip.MustParsePrefix("2000::/3")).Prefix(20 + r.IntN(29))
		default:
			p, err = within(r, netip.MustParsePrefix("0.0.0.0/0")).Prefix(8 + r.IntN(17))
		}
		if err != nil {
			panic(err)
		}
		if !seen[p] {
			seen[p] = true
			all = append(all, p)
		}
	}
	return all
}

// within returns a random address of p.
func within(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= byte(r.Uint32()&1) << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestLookUpAllocatesNothing(t *testing.T) {
	s := build(t, new(Names), "a 10.0.0.0/8\nb/56 2001:db8::/32\n")
	four, six := addr("10.1.2.3"), addr("2001:db8:1:2::3")
	if n := testing.AllocsPerRun(1000, func() {
		sinkMember, sinkPort = s.Find(four), s.Service(443)
		sinkMember = s.Find(six)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

var (
	sinkMember Member
	sinkPort   uint16
)

// TestNumbersStay: a name has the same number in every list, and labels of earlier lists are still known.
func TestNumbersStay(t *testing.T) {
	names := new(Names)
	first := build(t, names, "a 10.0.0.0/8\nb 11.0.0.0/8\n")
	a, b := first.Find(addr("10.0.0.1")), first.Find(addr("11.0.0.1"))
	second := build(t, names, "c 12.0.0.0/8\nb 10.0.0.0/8\n")
	if got := second.Find(addr("10.0.0.1")); got != b {
		t.Errorf("b is %v, and was %v", got, b)
	}
	c := second.Find(addr("12.0.0.1"))
	for m, want := range map[Member]string{a: "a", b: "b", c: "c", {}: "other", {Name: 99}: "other"} {
		if got := second.Label(m); got != want {
			t.Errorf("%v is called %s, want %s", m, got, want)
		}
	}
	refused := NewBuilder(names, MaxGroups)
	if err := refused.AddFile("file", strings.NewReader("d 10.0.0.0/8\ne 10.0.0.0/8\n")); err == nil {
		t.Error("a prefix twice was taken")
	}
	if names.len() != 3 {
		t.Errorf("%d names after a list that was refused, want 3", names.len())
	}
}

// TestReadersWhileSetsChange looks up and names groups while sets are swapped; the race detector watches.
func TestReadersWhileSetsChange(t *testing.T) {
	names := new(Names)
	var now atomic.Pointer[Set]
	now.Store(build(t, names, "g0 10.0.0.0/8\n"))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	a := addr("10.0.0.1")
	for range 4 {
		readers.Go(func() {
			last := uint32(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := now.Load()
				m := s.Find(a)
				if got, want := s.Label(m), fmt.Sprintf("g%d", m.Name-1); got != want {
					t.Errorf("number %d is %s, want %s", m.Name, got, want)
					return
				}
				if m.Name < last {
					t.Errorf("number %d after %d", m.Name, last)
					return
				}
				last = m.Name
			}
		})
	}
	for i := range 2000 {
		now.Store(build(t, names, fmt.Sprintf("g%d 10.0.0.0/8\n", i)))
	}
	close(stop)
	readers.Wait()
}
