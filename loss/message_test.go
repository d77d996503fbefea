package loss

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

// message is one netlink message with its padding.
func message(kind, flags uint16, seq uint32, payload []byte) []byte {
	b := make([]byte, 16, 16+len(payload)+3)
	binary.NativeEndian.PutUint32(b, uint32(16+len(payload)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return padded(append(b, payload...))
}

// attr is one attribute with its padding.
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

// info is struct ifinfomsg and attributes behind it.
func info(index int32, flags uint32, attrs ...[]byte) []byte {
	b := make([]byte, 16) // family, padding, type
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

// vlan is a whole answer of today's kernel for eth0.5 above interface 2.
func vlan() []byte {
	return info(9, 0x11043, attr(ifName, []byte("eth0.5\x00")), attr(13, []byte{0}), attr(ifMTU, u32(1500)), attr(ifLink, u32(2)),
		attr(26|nested, make([]byte, 30)), attr(ifStats64, statistics(25)), attr(60000, nil))
}

var vlanLink = link{index: 9, name: "eth0.5", mtu: 1500, lower: 2, lost: [NumCounters]uint64{1006, 1015, 1014, 1011}}

func read(b []byte) (r reply, got []link, err error) {
	err = r.parse(b, testSeq, func(l *link) { got = append(got, *l) })
	return r, got, err
}

func TestMessages(t *testing.T) {
	lo := info(1, 8, attr(ifName, []byte("lo\x00")), attr(ifMTU, u32(65536)), attr(ifStats64, statistics(23)))
	loLink := link{index: 1, name: "lo", loopback: true, mtu: 65536, lost: vlanLink.lost}
	with := func(change func(*link)) link {
		l := vlanLink
		change(&l)
		return l
	}
	bare := func(attrs ...[]byte) []byte {
		return info(9, 0, slices.Concat(attrs...), attr(ifStats64, statistics(16)))
	}
	noName := link{index: 9, lost: vlanLink.lost}
	for _, c := range []struct {
		name string
		in   []byte
		want []link
		end  reply
		err  error
	}{
		{"the one interface that was asked for", message(newLink, 0, testSeq, vlan()), []link{vlanLink}, reply{done: true}, nil},
		{"all interfaces, of which more come", slices.Concat(message(newLink, multi, testSeq, lo), message(newLink, multi, testSeq, vlan())),
			[]link{loLink, vlanLink}, reply{}, nil},
		{"the end of all interfaces", message(netlinkDone, multi, testSeq, u32(0)), nil, reply{done: true}, nil},
		{"interfaces and the end", slices.Concat(message(newLink, multi, testSeq, lo), message(netlinkDone, multi, testSeq, u32(0))),
			[]link{loLink}, reply{done: true}, nil},
		{"a list during which interfaces came and went", message(newLink, multi|dumpIntr, testSeq, lo), []link{loLink}, reply{interrupted: true}, nil},
		{"a late answer to an earlier request", slices.Concat(message(newLink, 0, testSeq-1, lo), message(newLink, 0, testSeq, vlan())),
			[]link{vlanLink}, reply{done: true}, nil},
		{"a late error to an earlier request", message(netlinkError, 0, testSeq-1, u32(^uint32(18))), nil, reply{}, nil},
		{"an interface that does not exist", message(netlinkError, 0, testSeq, u32(^uint32(18))), nil, reply{done: true}, unix.ENODEV},
		{"an acknowledgment, which is error 0", message(netlinkError, 0, testSeq, u32(0)), nil, reply{done: true}, nil},
		{"a kind of message that means nothing here", message(4, multi, testSeq, []byte{1}), nil, reply{}, nil},
		{"nothing", nil, nil, reply{}, nil},

		{"an interface below in another namespace is none", message(newLink, 0, testSeq, append(vlan(), attr(ifLinkNetns, u32(0))...)),
			[]link{with(func(l *link) { l.lower = 0 })}, reply{done: true}, nil},
		{"an interface below itself is above none", message(newLink, 0, testSeq, append(vlan(), attr(ifLink, u32(9))...)),
			[]link{with(func(l *link) { l.lower = 0 })}, reply{done: true}, nil},
		{"a negative interface below is none", message(newLink, 0, testSeq, append(vlan(), attr(ifLink, u32(1<<31))...)),
			[]link{with(func(l *link) { l.lower = 0 })}, reply{done: true}, nil},
		{"a name without its zero", message(newLink, 0, testSeq, bare(attr(ifName, []byte("abc")))),
			[]link{{index: 9, name: "abc", lost: vlanLink.lost}}, reply{done: true}, nil},
		{"a name that is not UTF-8 becomes one that is", message(newLink, 0, testSeq, bare(attr(ifName, []byte("a\xff\x00")))),
			[]link{{index: 9, name: `a\xff`, lost: vlanLink.lost}}, reply{done: true}, nil},
		{"attributes too short for their value", message(newLink, 0, testSeq, bare(attr(ifMTU, []byte{1}), attr(ifLink, nil))),
			[]link{noName}, reply{done: true}, nil},
		{"less than an attribute at the end", message(newLink, 0, testSeq, append(bare(), 9, 0, 0)), []link{noName}, reply{done: true}, nil},

		{"an error without a number", message(netlinkError, 0, testSeq, []byte{1, 2, 3}), nil, reply{}, errMessage},
		{"no statistics of 64 bits", message(newLink, 0, testSeq, info(9, 0, attr(7, statistics(12)))), nil, reply{done: true}, errNoStats},
		{"statistics that end before the losses", message(newLink, 0, testSeq, info(9, 0, attr(ifStats64, statistics(15)))), nil, reply{done: true}, errNoStats},
		{"an ifinfomsg cut off", message(newLink, 0, testSeq, make([]byte, 15)), nil, reply{done: true}, errMessage},
		{"an attribute of length 0", message(newLink, 0, testSeq, info(9, 0, u32(0))), nil, reply{done: true}, errMessage},
		{"an attribute of length 3", message(newLink, 0, testSeq, info(9, 0, u32(3))), nil, reply{done: true}, errMessage},
		{"an attribute longer than the message", message(newLink, 0, testSeq, info(9, 0, []byte{200, 0, 3, 0, 'x', 0, 0, 0})), nil, reply{done: true}, errMessage},
		{"a message of length 0", make([]byte, 16), nil, reply{}, errMessage},
		{"a message of length 15", append(u32(15), make([]byte, 12)...), nil, reply{}, errMessage},
		{"a message longer than the datagram", append(u32(17), make([]byte, 12)...), nil, reply{}, errMessage},
		{"a message of length 2^32-1", append(u32(1<<32-1), make([]byte, 12)...), nil, reply{}, errMessage},
		{"less than a message at the end", append(message(newLink, multi, testSeq, lo), 1, 2, 3), []link{loLink}, reply{}, errMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, got, err := read(c.in)
			if !errors.Is(err, c.err) || !slices.Equal(got, c.want) || r != c.end {
				t.Errorf("%+v, %+v, error %v\nwant %+v, %+v, %v", r, got, err, c.end, c.want, c.err)
			}
		})
	}
}

// Cut anywhere, a message is an error and no interface: no figure comes of half an answer.
func TestEveryCut(t *testing.T) {
	whole := message(newLink, 0, testSeq, vlan())
	for n := 1; n < len(whole); n++ {
		if _, got, err := read(whole[:n]); !errors.Is(err, errMessage) || len(got) != 0 {
			t.Errorf("%d of %d bytes: %+v, %v", n, len(whole), got, err)
		}
		// The same with lengths that say that it is whole.
		if n < 32 || n%4 != 0 {
			continue
		}
		cut := slices.Clone(whole[:n])
		binary.NativeEndian.PutUint32(cut, uint32(n))
		if _, got, err := read(cut); err == nil && !slices.Equal(got, []link{vlanLink}) {
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
		want := message(18, c.flags, testSeq, info(c.index, 0)) // RTM_GETLINK
		if got := request(testSeq, c.index); !slices.Equal(got, want) {
			t.Errorf("index %d: % x, want % x", c.index, got, want)
		}
	}
}

// FuzzMessages: any bytes are read to their end or to an error, and what is read lies within them.
func FuzzMessages(f *testing.F) {
	f.Add(message(newLink, 0, testSeq, vlan()))
	f.Add(message(netlinkError, 0, testSeq, u32(^uint32(18))))
	f.Add(slices.Concat(message(newLink, multi, testSeq, vlan()), message(netlinkDone, multi, testSeq, u32(0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, _ := read(b)
		if need := 16 + 16 + 4 + statsLen; len(got)*need > len(b) {
			t.Fatalf("%d interfaces in %d bytes", len(got), len(b))
		}
		for _, l := range got {
			if len(l.name) > len(b) || l.lower < 0 {
				t.Fatalf("%+v", l)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, interfaces := range []int{1, 100} {
		var in []byte
		for range interfaces {
			in = append(in, message(newLink, multi, testSeq, vlan())...)
		}
		b.Run(fmt.Sprintf("interfaces=%d", interfaces), func(b *testing.B) {
			sum := uint64(0)
			for b.Loop() {
				var r reply
				if err := r.parse(in, testSeq, func(l *link) { sum += l.lost[0] }); err != nil {
					b.Fatal(err)
				}
			}
			sink = sum
		})
	}
}

var sink uint64
