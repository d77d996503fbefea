package ring

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/packet"
)

func mustOpenGroup(t *testing.T, c Config, n int) []*Ring {
	t.Helper()
	rings, err := OpenGroup(t.Context(), c, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rings {
		t.Cleanup(func() { _ = r.Close() })
	}
	return rings
}

// onlyIPv4 accepts 200 bytes of IPv4.
func onlyIPv4(t *testing.T) []bpf.RawInstruction {
	t.Helper()
	return assemble(t,
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0800, SkipFalse: 1},
		bpf.RetConstant{Val: 200},
		bpf.RetConstant{},
	)
}

// Every frame comes out of exactly one ring, both directions of a connection out of the same one, and
// the rings share many connections about evenly.
func TestAGroupSharesOutConnections(t *testing.T) {
	cap0, gen0 := veth(t)
	const connections, each = 400, 6
	c := small(t, cap0)
	c.Filter, c.NumBlocks = onlyIPv4(t), 64
	rings := mustOpenGroup(t, c, 3)
	s := newSender(t, gen0)
	r := rand.New(rand.NewPCG(1, 2))
	for range each {
		for i := range connections {
			client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), uint16(1024+i))
			server := netip.MustParseAddrPort("192.0.2.1:443")
			p := packet.TCP{Src: client, Dst: server, Flags: packet.ACK, Payload: r.IntN(100)}
			if r.IntN(2) == 0 {
				p.Src, p.Dst = server, client
			}
			s.send(t, p.Ethernet())
		}
	}
	in := map[uint32]int{} // by client: the ring of its first frame
	total := 0
	for k, ring := range rings {
		frames := collect(t, ring, -1, 100*time.Millisecond)
		total += len(frames)
		if n := len(frames); n < connections*each/6 || n > connections*each/2 {
			t.Errorf("ring %d has %d of %d frames", k, n, connections*each)
		}
		for _, f := range frames {
			client := binary.BigEndian.Uint32(f.Data[26:])
			if f.Data[26] != 10 {
				client = binary.BigEndian.Uint32(f.Data[30:])
			}
			if first, ok := in[client]; ok && first != k {
				t.Fatalf("connection %#x is in rings %d and %d", client, first, k)
			}
			in[client] = k
		}
	}
	if total != connections*each || len(in) != connections {
		t.Errorf("%d frames of %d connections, want %d of %d", total, len(in), connections*each, connections)
	}
}

// The fragments of an IPv4 packet come as one frame, out of the ring of their connection.
func TestAGroupPutsFragmentsTogether(t *testing.T) {
	cap0, gen0 := veth(t)
	const connections = 40
	c := small(t, cap0)
	c.Filter, c.NumBlocks = onlyIPv4(t), 64
	rings := mustOpenGroup(t, c, 2)
	s := newSender(t, gen0)
	for i := range connections {
		p := packet.TCP{
			Src: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1024+i)), Dst: netip.MustParseAddrPort("198.51.100.1:443"),
			Flags: packet.ACK, Payload: 1000,
		}
		s.send(t, p.Ethernet())
		first, second := p.Fragments(504)
		s.send(t, first, second)
	}
	var in [connections]int // a bit for each ring that has seen it
	total := 0
	for k, ring := range rings {
		frames := collect(t, ring, -1, 100*time.Millisecond)
		total += len(frames)
		for _, f := range frames {
			if n, field := binary.BigEndian.Uint16(f.Data[16:]), binary.BigEndian.Uint16(f.Data[20:]); n != 1040 || field&0x3fff != 0 {
				t.Fatalf("an IP packet of %d bytes, fragment field %#x", n, field)
			}
			in[binary.BigEndian.Uint16(f.Data[34:])-1024] |= 1 << k
		}
	}
	if total != 2*connections {
		t.Errorf("%d frames, want %d", total, 2*connections)
	}
	for i, seen := range in {
		if seen != 1 && seen != 2 {
			t.Errorf("connection %d was seen in rings %b", i, seen)
		}
	}
}

// Two groups on one interface have numbers of their own: each gets everything.
func TestGroupsDoNotCollide(t *testing.T) {
	cap0, gen0 := veth(t)
	one, two := mustOpenGroup(t, small(t, cap0), 2), mustOpenGroup(t, small(t, cap0), 2)
	s := newSender(t, gen0)
	for i := range 50 {
		s.send(t, numbered(i, 100))
	}
	for name, rings := range map[string][]*Ring{"first": one, "second": two} {
		n := 0
		for _, r := range rings {
			n += len(collect(t, r, -1, 50*time.Millisecond))
		}
		if n != 50 {
			t.Errorf("the %s group has %d frames, want 50", name, n)
		}
	}
}

// In a group the socket's own PACKET_IGNORE_OUTGOING would have no effect.
func TestAGroupIgnoresOutgoingFrames(t *testing.T) {
	cap0, _ := veth(t)
	for _, ignore := range []bool{false, true} {
		c := small(t, cap0)
		c.IgnoreOutgoing = ignore
		rings := mustOpenGroup(t, c, 2)
		newSender(t, cap0).send(t, numbered(1, 100)) // out of the captured interface
		var seen []seen
		for _, r := range rings {
			seen = append(seen, collect(t, r, -1, 50*time.Millisecond)...)
		}
		if want := map[bool]int{false: 1, true: 0}[ignore]; len(seen) != want {
			t.Errorf("ignoring them %v: %d outgoing frames, want %d", ignore, len(seen), want)
		}
	}
}

func TestGroupSizes(t *testing.T) {
	cap0, _ := veth(t)
	for _, n := range []int{-1, 0, MaxRings + 1} {
		if rings, err := OpenGroup(t.Context(), small(t, cap0), n); err == nil || rings != nil {
			t.Errorf("a group of %d rings: %v", n, err)
		}
	}
	if rings := mustOpenGroup(t, small(t, cap0), 1); len(rings) != 1 {
		t.Errorf("%d rings", len(rings))
	} else if id, err := unix.GetsockoptInt(rings[0].fd, unix.SOL_PACKET, unix.PACKET_FANOUT); err != nil || id != 0 {
		t.Errorf("a ring alone is in group %#x, %v", id, err)
	}
	c := small(t, cap0)
	c.NumBlocks = 0
	if _, err := OpenGroup(t.Context(), c, 2); err == nil {
		t.Error("a group with a bad configuration")
	}
}

// endsAfter is a context that ends after so many looks at it.
type endsAfter struct {
	context.Context
	looks int
}

func (e *endsAfter) Err() error {
	if e.looks--; e.looks < 0 {
		return context.Canceled
	}
	return nil
}

// Whoever has asked for the rings may give them up: between two of them that is noticed.
func TestAGroupThatNobodyWantsAnyMore(t *testing.T) {
	cap0, _ := veth(t)
	c := small(t, cap0)
	for _, n := range []int{1, 4} {
		for looks := range n {
			before := openFiles(t)
			if rings, err := OpenGroup(&endsAfter{t.Context(), looks}, c, n); !errors.Is(err, context.Canceled) || rings != nil {
				t.Errorf("given up at ring %d of %d: %v, %v; want %v", looks, n, rings, err, context.Canceled)
			}
			if after := openFiles(t); after != before {
				t.Errorf("given up at ring %d of %d: %d files are open, were %d", looks, n, after, before)
			}
		}
	}
}

// A program shares out what arrives and what is sent: here by the last byte of an IPv4 source address, which it finds at
// another offset in each.
func TestAGroupSharesOutByAProgram(t *testing.T) {
	cap0, gen0 := veth(t)
	c := small(t, cap0)
	c.Filter = onlyIPv4(t)
	c.Fanout = assemble(t,
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipFalse: 2},
		bpf.LoadAbsolute{Off: 14 + 15, Size: 1},
		bpf.RetA{},
		bpf.LoadAbsolute{Off: 15, Size: 1},
		bpf.RetA{},
	)
	const n, rings = 60, 3
	group := mustOpenGroup(t, c, rings)
	for _, s := range []*sender{newSender(t, gen0), newSender(t, cap0)} {
		for i := range n {
			p := packet.TCP{
				Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 40000), Dst: netip.MustParseAddrPort("192.0.2.1:443"),
				Flags: packet.ACK,
			}
			s.send(t, p.Ethernet())
		}
	}
	for k, r := range group {
		frames := collect(t, r, -1, 100*time.Millisecond)
		if len(frames) != 2*n/rings {
			t.Errorf("ring %d has %d frames, want %d", k, len(frames), 2*n/rings)
		}
		for _, f := range frames {
			if int(f.Data[29])%rings != k {
				t.Errorf("ring %d has a frame from 10.0.0.%d", k, f.Data[29])
			}
		}
	}
}

func TestAGroupWithABadProgram(t *testing.T) {
	cap0, _ := veth(t)
	for name, c := range map[string]struct {
		prog []bpf.RawInstruction
		want string
	}{
		"no return": {
			assemble(t, bpf.LoadConstant{Dst: bpf.RegA}),
			"number of rings 2: have a program of 1 instructions share out the frames: invalid argument: use 1",
		},
		"too long": {
			make([]bpf.RawInstruction, maxFilterLen+1),
			"number of rings 1: a program of 4097 instructions shares out the frames, and the kernel takes at most 4096; use 1",
		},
	} {
		cfg := small(t, cap0)
		cfg.Fanout = c.prog
		before := openFiles(t)
		rings, err := OpenGroup(t.Context(), cfg, 2)
		if err == nil || rings != nil || err.Error() != c.want {
			t.Errorf("%s: %v, error %v; want %s", name, rings, err, c.want)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files are open, were %d", name, after, before)
		}
	}
}
