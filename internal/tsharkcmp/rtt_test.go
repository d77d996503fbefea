package tsharkcmp

import (
	"net/netip"
	"slices"
	"testing"
)

// one makes a frame of side 0 or 1.
func one(side int, ms int64, seq, length, ack uint32, mark func(*frame)) frame {
	ends := [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")}
	f := frame{
		dir: Direction{ends[side], ends[1-side]}, time: ms * 1e6, seq: seq, len: uint64(length), hasLen: true,
		ack: ack, flags: flagACK,
	}
	if mark != nil {
		mark(&f)
	}
	return f
}

func again(f *frame)  { f.retrans = true }
func late(f *frame)   { f.ooo = true }
func keep(f *frame)   { f.keep = true }
func refuse(f *frame) { f.flags |= flagRST }

// TestStrictKarn wants the samples that the rule leaves.
func TestStrictKarn(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames []frame
		want   []int // ms
	}{
		{"one by one", []frame{
			one(0, 0, 1, 9, 1, nil), one(1, 5, 1, 0, 10, nil), one(0, 6, 10, 9, 1, nil), one(1, 9, 1, 0, 19, nil),
		}, []int{5, 3}},
		{"the last of two", []frame{one(0, 0, 1, 9, 1, nil), one(0, 2, 10, 9, 1, nil), one(1, 5, 1, 0, 19, nil)}, []int{3}},
		{"within a segment", []frame{one(0, 0, 1, 9, 1, nil), one(1, 5, 1, 0, 5, nil), one(1, 6, 1, 0, 10, nil)}, []int{6}},
		{"sent again", []frame{one(0, 0, 1, 9, 1, nil), one(0, 3, 1, 9, 1, again), one(1, 5, 1, 0, 10, nil)}, nil},
		{"another one sent again", []frame{
			one(0, 0, 1, 9, 1, nil), one(0, 1, 10, 9, 1, nil), one(0, 3, 1, 9, 1, again), one(1, 5, 1, 0, 19, nil),
		}, nil},
		{"acknowledged apart", []frame{
			one(0, 0, 1, 9, 1, nil), one(0, 1, 10, 9, 1, nil), one(0, 3, 1, 9, 1, again),
			one(1, 5, 1, 0, 10, nil), one(1, 6, 1, 0, 19, nil),
		}, []int{5}},
		{"behind a hole that was filled", []frame{
			one(0, 0, 10, 9, 1, nil), one(0, 3, 1, 9, 1, late), one(1, 5, 1, 0, 19, nil),
		}, nil},
		{"a keep-alive's byte", []frame{
			one(0, 0, 1, 9, 1, nil), one(1, 5, 1, 0, 10, nil), one(0, 50, 9, 1, 1, keep), one(1, 52, 1, 0, 10, nil),
			one(0, 60, 10, 9, 1, nil), one(1, 64, 1, 0, 19, nil),
		}, []int{5, 4}},
		{"refused", []frame{one(0, 0, 1, 9, 1, nil), one(1, 5, 1, 0, 10, refuse)}, nil},
		{"a clock set back", []frame{one(0, 9, 1, 9, 1, nil), one(1, 5, 1, 0, 10, nil)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var u unacked
			var got []int
			for _, f := range c.frames {
				if rtt, ok := u.add(f); ok {
					got = append(got, int(rtt*1e3+0.5))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("samples %v ms, want %v", got, c.want)
			}
		})
	}
}

// TestVerdicts wants the last frame of each exchange to be known to differ, or not to.
func TestVerdicts(t *testing.T) {
	first := one(0, 0, 1, 9, 1, nil) // nxt is 10
	answer := func(ack uint32) frame { return one(1, 1, 1, 0, ack, nil) }
	probe := func(f *frame) { f.probe = true }
	spurious := func(f *frame) { f.retrans, f.spurious = true, true }
	keepAck := func(f *frame) { f.keepAck = true }
	for _, c := range []struct {
		name   string
		frames []frame
		want   verdicts
	}{
		{"new", []frame{first, one(0, 2, 10, 9, 1, nil)}, verdicts{}},
		{"one byte again", []frame{first, answer(5), one(0, 2, 9, 1, 1, keep)}, verdicts{missedRepeat: true}},
		{"its answer", []frame{first, answer(5), one(0, 2, 9, 1, 1, keep), one(1, 3, 1, 0, 5, keepAck)}, verdicts{missedDuplicateACK: true}},
		{"a keep-alive", []frame{first, answer(10), one(0, 2, 9, 1, 1, keep)}, verdicts{}},
		{"a keep-alive's answer", []frame{first, answer(10), one(0, 2, 9, 1, 1, keep), one(1, 3, 1, 0, 10, keepAck)}, verdicts{}},
		{"a keep-alive of one side alone", []frame{first, one(0, 2, 9, 1, 1, keep)}, verdicts{}},
		{"the last byte and more", []frame{first, one(0, 2, 9, 5, 1, nil)}, verdicts{missedRepeat: true}},
		{"the last byte and more, told", []frame{first, one(0, 2, 9, 5, 1, again)}, verdicts{}},
		{"the same after a keep-alive", []frame{first, one(0, 2, 9, 0, 1, keep), one(0, 3, 9, 5, 1, nil)}, verdicts{}},
		{"the same after one byte again", []frame{
			first, answer(5), one(0, 2, 9, 1, 1, keep), one(0, 3, 9, 5, 1, nil),
		}, verdicts{missedRepeat: true}},
		{"a probe's byte and more", []frame{first, one(0, 2, 10, 1, 1, probe), one(0, 3, 10, 5, 1, nil)}, verdicts{}},
		{"acknowledged before it came", []frame{first, answer(20), one(0, 2, 10, 9, 1, spurious)}, verdicts{earlyACK: true}},
		{"the first, acknowledged before", []frame{answer(20), one(0, 2, 10, 9, 1, spurious)}, verdicts{earlyACK: true}},
		{"acknowledged and sent again", []frame{first, answer(10), one(0, 2, 1, 9, 1, spurious)}, verdicts{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var u unacked
			var got verdicts
			for _, f := range c.frames {
				got = u.verdicts(f)
				u.add(f)
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
