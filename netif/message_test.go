package netif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	testSeq  = 7
	multi    = 2    // NLM_F_MULTI
	dumpIntr = 0x10 // NLM_F_DUMP_INTR
)

// datagram is one netlink message with its padding.
func datagram(kind, flags uint16, seq uint32, payload []byte) []byte {
	b := make([]byte, 16, 16+len(payload)+3)
	binary.NativeEndian.PutUint32(b, uint32(16+len(payload)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return padded(append(b, payload...))
}

// attr returns one attribute with its padding.
func attr(kind uint16, value []byte) []byte {
	b := make([]byte, 4, 4+len(value)+3)
	binary.NativeEndian.PutUint16(b, uint16(4+len(value)))
	binary.NativeEndian.PutUint16(b[2:], kind)
	return padded(append(b, value...))
}

func padded(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// statistics has 1000+i in its i-th word of 64 bits.
func statistics(words int) (b []byte) {
	for i := range words {
		b = binary.NativeEndian.AppendUint64(b, uint64(1000+i))
	}
	return b
}

// info returns struct ifinfomsg and attributes behind it.
func info(hatype uint16, index int32, flags uint32, attrs ...[]byte) []byte {
	b := make([]byte, 16) // family, padding
	binary.NativeEndian.PutUint16(b[2:], hatype)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	return slices.Concat(append([][]byte{b}, attrs...)...)
}

const (
	ifName       = 3
	ifMTU        = 4
	ifLink       = 5
	ifStats64    = 23
	ifLinkNetns  = 37
	nested       = 0x8000
	newLink      = 16
	netlinkError = 2
	netlinkDone  = 3
)

// vlan returns a whole answer of today's kernel for eth0.5 above interface 2.
func vlan() []byte {
	return info(1, 9, 0x11043, attr(ifName, []byte("eth0.5\x00")), attr(13, []byte{0}), attr(ifMTU, u32(1500)), attr(ifLink, u32(2)),
		attr(26|nested, make([]byte, 30)), attr(ifStats64, statistics(25)), attr(60000, nil))
}

var (
	stats = Stats{RxPackets: 1000, TxPackets: 1001, RxBytes: 1002, TxBytes: 1003, RxDropped: 1006, RxMissedErrors: 1015, RxFifoErrors: 1014, RxOverErrors: 1011}
	eth05 = Interface{Index: 9, Name: "eth0.5", Hatype: 1, Up: true, MTU: 1500, Lower: 2, HasStats: true, Stats: stats}
)

func read(b []byte) (r reply, got []Interface, err error) {
	err = r.parse(b, testSeq, func(i *Interface) { got = append(got, *i) })
	return r, got, err
}

func TestMessages(t *testing.T) {
	lo := info(772, 1, 8, attr(ifName, []byte("lo\x00")), attr(ifMTU, u32(65536)), attr(ifStats64, statistics(23)))
	loWant := Interface{Index: 1, Name: "lo", Hatype: 772, Loopback: true, MTU: 65536, HasStats: true, Stats: stats}
	noLower := eth05
	noLower.Lower = 0
	bare := func(attrs ...[]byte) []byte {
		return info(1, 9, 0, slices.Concat(attrs...), attr(ifStats64, statistics(16)))
	}
	noName := Interface{Index: 9, Hatype: 1, HasStats: true, Stats: stats}
	named := func(name string) Interface {
		i := noName
		i.Name = name
		return i
	}
	noStats := Interface{Index: 9, Hatype: 1}
	for _, c := range []struct {
		name string
		in   []byte
		want []Interface
		end  reply
		err  error
	}{
		{"the one interface that was asked for", datagram(newLink, 0, testSeq, vlan()), []Interface{eth05}, reply{done: true}, nil},
		{"all interfaces, of which more come", slices.Concat(datagram(newLink, multi, testSeq, lo), datagram(newLink, multi, testSeq, vlan())),
			[]Interface{loWant, eth05}, reply{}, nil},
		{"the end of all interfaces", datagram(netlinkDone, multi, testSeq, u32(0)), nil, reply{done: true}, nil},
		{"the end without an errno", datagram(netlinkDone, multi, testSeq, nil), nil, reply{done: true}, nil},
		{"a list that the kernel gives up, EMSGSIZE", slices.Concat(datagram(newLink, multi, testSeq, lo), datagram(netlinkDone, multi, testSeq, u32(^uint32(unix.EMSGSIZE-1)))),
			[]Interface{loWant}, reply{done: true}, unix.EMSGSIZE},
		{"interfaces and the end", slices.Concat(datagram(newLink, multi, testSeq, lo), datagram(netlinkDone, multi, testSeq, u32(0))),
			[]Interface{loWant}, reply{done: true}, nil},
		{"a list during which interfaces came and went", datagram(newLink, multi|dumpIntr, testSeq, lo), []Interface{loWant}, reply{interrupted: true}, nil},
		{"a late answer to an earlier request", slices.Concat(datagram(newLink, 0, testSeq-1, lo), datagram(newLink, 0, testSeq, vlan())),
			[]Interface{eth05}, reply{done: true}, nil},
		{"a late error to an earlier request", datagram(netlinkError, 0, testSeq-1, u32(^uint32(18))), nil, reply{}, nil},
		{"an interface that does not exist", datagram(netlinkError, 0, testSeq, u32(^uint32(18))), nil, reply{done: true}, unix.ENODEV},
		{"an acknowledgment, which is error 0", datagram(netlinkError, 0, testSeq, u32(0)), nil, reply{done: true}, nil},
		{"a kind of message that means nothing here", datagram(4, multi, testSeq, []byte{1}), nil, reply{}, nil},
		{"nothing", nil, nil, reply{}, nil},

		{"an interface below in another namespace is none", datagram(newLink, 0, testSeq, append(vlan(), attr(ifLinkNetns, u32(0))...)),
			[]Interface{noLower}, reply{done: true}, nil},
		{"an interface below itself is above none", datagram(newLink, 0, testSeq, append(vlan(), attr(ifLink, u32(9))...)),
			[]Interface{noLower}, reply{done: true}, nil},
		{"a negative interface below is none", datagram(newLink, 0, testSeq, append(vlan(), attr(ifLink, u32(1<<31))...)),
			[]Interface{noLower}, reply{done: true}, nil},
		{"a name without its zero", datagram(newLink, 0, testSeq, bare(attr(ifName, []byte("abc")))),
			[]Interface{named("abc")}, reply{done: true}, nil},
		{"a name that is not UTF-8 stays as it is", datagram(newLink, 0, testSeq, bare(attr(ifName, []byte("a\xff\x00")))),
			[]Interface{named("a\xff")}, reply{done: true}, nil},
		{"attributes too short for their value", datagram(newLink, 0, testSeq, bare(attr(ifMTU, []byte{1}), attr(ifLink, nil))),
			[]Interface{noName}, reply{done: true}, nil},
		{"less than an attribute at the end", datagram(newLink, 0, testSeq, append(bare(), 9, 0, 0)), []Interface{noName}, reply{done: true}, nil},
		{"no statistics of 64 bits", datagram(newLink, 0, testSeq, info(1, 9, 0, attr(7, statistics(12)))), []Interface{noStats}, reply{done: true}, nil},
		{"statistics that end before the losses", datagram(newLink, 0, testSeq, info(1, 9, 0, attr(ifStats64, statistics(15)))), []Interface{noStats}, reply{done: true}, nil},
		{"statistics longer than any kernel's today", datagram(newLink, 0, testSeq, info(1, 9, 0, attr(ifStats64, statistics(40)))), []Interface{noName}, reply{done: true}, nil},

		{"an error without a number", datagram(netlinkError, 0, testSeq, []byte{1, 2, 3}), nil, reply{}, errMessage},
		{"an ifinfomsg cut off", datagram(newLink, 0, testSeq, make([]byte, 15)), nil, reply{done: true}, errMessage},
		{"an attribute of length 0", datagram(newLink, 0, testSeq, info(1, 9, 0, u32(0))), nil, reply{done: true}, errMessage},
		{"an attribute of length 3", datagram(newLink, 0, testSeq, info(1, 9, 0, u32(3))), nil, reply{done: true}, errMessage},
		{"an attribute longer than the message", datagram(newLink, 0, testSeq, info(1, 9, 0, []byte{200, 0, 3, 0, 'x', 0, 0, 0})), nil, reply{done: true}, errMessage},
		{"a message of length 0", make([]byte, 16), nil, reply{}, errMessage},
		{"a message of length 15", append(u32(15), make([]byte, 12)...), nil, reply{}, errMessage},
		{"a message longer than the datagram", append(u32(17), make([]byte, 12)...), nil, reply{}, errMessage},
		{"a message of length 2^32-1", append(u32(1<<32-1), make([]byte, 12)...), nil, reply{}, errMessage},
		{"less than a message at the end", append(datagram(newLink, multi, testSeq, lo), 1, 2, 3), []Interface{loWant}, reply{}, errMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, got, err := read(c.in)
			if !errors.Is(err, c.err) || !slices.Equal(got, c.want) || r != c.end {
				t.Errorf("%+v, %+v, error %v\nwant %+v, %+v, %v", r, got, err, c.end, c.want, c.err)
			}
		})
	}
}

// Cut anywhere, a message is an error and no interface. With lengths as of a whole one, no figure comes
// of half of it.
func TestEveryCut(t *testing.T) {
	whole := datagram(newLink, 0, testSeq, vlan())
	for n := 1; n < len(whole); n++ {
		if _, got, err := read(whole[:n]); !errors.Is(err, errMessage) || len(got) != 0 {
			t.Errorf("%d of %d bytes: %+v, %v", n, len(whole), got, err)
		}
		if n < 32 || n%4 != 0 {
			continue
		}
		cut := slices.Clone(whole[:n])
		binary.NativeEndian.PutUint32(cut, uint32(n))
		if _, got, err := read(cut); err == nil && (len(got) != 1 || got[0].HasStats && got[0] != eth05) {
			t.Errorf("%d of %d bytes: %+v", n, len(whole), got)
		}
	}
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		index int32
		flags uint16
	}{
		{0, 0x301}, // NLM_F_REQUEST, NLM_F_DUMP
		{9, 0x001},
	} {
		want := datagram(18, c.flags, testSeq, info(0, c.index, 0)) // RTM_GETLINK
		if got := request(testSeq, c.index); !slices.Equal(got, want) {
			t.Errorf("index %d: % x, want % x", c.index, got, want)
		}
	}
}

// FuzzMessages: any bytes are read to their end or to an error, and what is read lies within them.
func FuzzMessages(f *testing.F) {
	f.Add(datagram(newLink, 0, testSeq, vlan()))
	f.Add(datagram(netlinkError, 0, testSeq, u32(^uint32(18))))
	f.Add(slices.Concat(datagram(newLink, multi, testSeq, vlan()), datagram(netlinkDone, multi, testSeq, u32(0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, _ := read(b)
		if need := 16 + 16; len(got)*need > len(b) {
			t.Fatalf("%d interfaces in %d bytes", len(got), len(b))
		}
		for _, i := range got {
			if len(i.Name) > len(b) || i.Lower < 0 || i.HasStats && len(b) < 16+16+4+statsLen {
				t.Fatalf("%+v", i)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, interfaces := range []int{1, 100} {
		var in []byte
		for range interfaces {
			in = append(in, datagram(newLink, multi, testSeq, vlan())...)
		}
		b.Run(fmt.Sprintf("interfaces=%d", interfaces), func(b *testing.B) {
			sum := uint64(0)
			for b.Loop() {
				var r reply
				if err := r.parse(in, testSeq, func(i *Interface) { sum += i.Stats.RxDropped }); err != nil {
					b.Fatal(err)
				}
			}
			sink = sum
		})
	}
}

var sink uint64
