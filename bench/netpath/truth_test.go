package netpath

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

func TestTruth(t *testing.T) {
	data := func(from, to uint32) segment { return segment{tcp: true, from: 1000, to: 80, seq: from, end: to} }
	const wrap = math.MaxUint32 - 99 // 100 bytes before sequence number 0
	for _, c := range []struct {
		name   string
		sent   []segment
		passes []int // indexes of sent, in the order of the point; those that miss are lost
		want   Truth
	}{
		{"new data in order", []segment{data(1, 101), data(101, 201)}, []int{0, 1}, Truth{Packets: 2}},
		{"a repair of what was lost before the point", []segment{data(1, 101), data(101, 201), data(201, 301), data(101, 201)}, []int{0, 2, 3}, Truth{Packets: 3, Again: 1}},
		{"a repair of what was lost behind the point", []segment{data(1, 101), data(101, 201), data(1, 101)}, []int{0, 1, 2}, Truth{Packets: 3, Again: 1}},
		{"overtaken", []segment{data(1, 101), data(101, 201), data(201, 301)}, []int{1, 0, 2}, Truth{Packets: 3, Overtaken: 1}},
		{"a repair that is overtaken too", []segment{data(1, 101), data(101, 201), data(1, 101), data(201, 301)}, []int{1, 3, 2}, Truth{Packets: 3, Again: 1}},
		{"a repair of the last segment, whose first copy was lost", []segment{data(1, 101), data(101, 201), data(101, 201)}, []int{0, 2}, Truth{Packets: 2, Again: 1, Unnoticeable: 1}},
		{"a repair of the last segment, whose first copy passed", []segment{data(1, 101), data(101, 201), data(101, 201)}, []int{0, 1, 2}, Truth{Packets: 3, Again: 1}},
		{"the first segment of all again", []segment{data(1, 2), data(1, 2)}, []int{1}, Truth{Packets: 1, Again: 1, Unnoticeable: 1}},
		{"cut anew, with new bytes", []segment{data(1, 101), data(51, 201)}, []int{0, 1}, Truth{Packets: 2, Again: 1}},
		{"an ACK takes up no number", []segment{data(1, 101), data(101, 101), data(1, 1)}, []int{0, 1, 2}, Truth{Packets: 3}},
		{"numbers that wrap", []segment{data(wrap, 0), data(0, 100), data(wrap, 0), data(100, 200)}, []int{1, 0, 2, 3}, Truth{Packets: 4, Again: 1, Overtaken: 1}},
	} {
		l := newLedger()
		again := make([]bool, len(c.sent))
		for i := range c.sent {
			again[i] = l.leaves(&c.sent[i])
		}
		for _, i := range c.passes {
			l.passes(&c.sent[i], again[i])
		}
		if l.Truth != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, l.Truth, c.want)
		}
	}
}

func TestSegment(t *testing.T) {
	packet := func(ihl, offset, flags byte, payload int) []byte {
		b := make([]byte, int(ihl)*4+int(offset)*4+payload)
		b[0], b[9] = 4<<4|ihl, 6
		tcp := b[int(ihl)*4:]
		binary.BigEndian.PutUint16(tcp, 1000)
		binary.BigEndian.PutUint16(tcp[2:], 80)
		binary.BigEndian.PutUint32(tcp[4:], 7)
		tcp[12], tcp[13] = offset<<4, flags
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want segment
	}{
		{"data", packet(5, 8, 16, 10), segment{tcp: true, from: 1000, to: 80, flags: 16, payload: 10, seq: 7, end: 17}},
		{"IP options", packet(6, 5, 16, 10), segment{tcp: true, from: 1000, to: 80, flags: 16, payload: 10, seq: 7, end: 17}},
		{"SYN", packet(5, 10, syn, 0), segment{tcp: true, from: 1000, to: 80, flags: syn, seq: 7, end: 8}},
		{"FIN with data", packet(5, 5, fin, 3), segment{tcp: true, from: 1000, to: 80, flags: fin, payload: 3, seq: 7, end: 11}},
		{"a data offset beyond the packet", packet(5, 5, 16, 3)[:20+19], segment{}},
		{"no packet", nil, segment{}},
	} {
		if got := parse(c.b); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	udp := packet(5, 5, 0, 0)
	udp[9] = 17
	if parse(udp).tcp {
		t.Error("UDP is taken for TCP")
	}
}

func TestQueueIsInOrder(t *testing.T) {
	var q queue
	var want, got []*packet
	for i := range 1000 {
		p := &packet{due: time.Duration(i * 7919 % 101), order: uint64(i)}
		want = append(want, p)
		q.push(p)
	}
	slices.SortFunc(want, func(a, b *packet) int {
		if a.sooner(b) {
			return -1
		}
		return 1
	})
	for len(q) > 0 {
		got = append(got, q.pop())
	}
	if !slices.Equal(got, want) {
		t.Error("packets come out of order")
	}
}

func TestRecorderSortsWhatComesEarly(t *testing.T) {
	var file bytes.Buffer
	epoch := time.Unix(1000, 5)
	r, err := newRecorder(&file, epoch, 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		now, early time.Duration
		length     int
	}{{100, 0, 1}, {120, 0, 2}, {140, 50, 3}, {170, 50, 2000}, {1000, 0, 5}} {
		if err := r.add(p.now, p.early, make([]byte, p.length)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	in, err := pcapgo.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		at     time.Duration
		length int
	}{{90, 3}, {100, 1}, {120, 2}, {120, 2000}, {1000, 5}} {
		data, info, err := in.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		if at := info.Timestamp.Sub(epoch); at != want.at || info.Length != want.length || len(data) != min(want.length, snapLen) {
			t.Errorf("packet of %d bytes (%d recorded) at %v, want %+v", info.Length, len(data), at, want)
		}
	}
}

func TestLateness(t *testing.T) {
	var l Lateness
	for range 98 {
		l.add(1000)
	}
	l.add(100_000)
	l.add(5_000_000)
	if l.Max != 5*time.Millisecond || l.Share(0.98) != 1024 || l.Share(0.99) != 131072 || l.Share(1) != 5*time.Millisecond {
		t.Errorf("max %v, 98%% %v, 99%% %v, all %v", l.Max, l.Share(0.98), l.Share(0.99), l.Share(1))
	}
}
