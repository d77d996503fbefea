package pcapfile

import (
	"encoding/binary"
	"io"
	"testing"
)

// file builds capture files byte by byte and knows what is to be read from them.
type file struct {
	order binary.AppendByteOrder
	nano  bool // pcap: times in ns
	b     []byte
	ends  []int // where each record ends, those without a packet too
	want  []Packet
	after []int // after[i]: how many packets are whole once record i is
}

func (f *file) u16(v uint16) *file { f.b = f.order.AppendUint16(f.b, v); return f }
func (f *file) u32(v uint32) *file { f.b = f.order.AppendUint32(f.b, v); return f }
func (f *file) end() *file {
	f.ends, f.after = append(f.ends, len(f.b)), append(f.after, len(f.want))
	return f
}

func (f *file) expect(p Packet) { f.want = append(f.want, p) }

// pcap begins a pcap file.
func pcap(order binary.AppendByteOrder, nano bool, dlt uint32) *file {
	f := &file{order: order, nano: nano}
	magic := uint32(0xa1b2c3d4)
	if nano {
		magic = 0xa1b23c4d
	}
	return f.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(dlt).end()
}

// record adds a packet; fraction is in the file's units.
func (f *file) record(dlt, sec, fraction uint32, data string, wire uint32) *file {
	f.u32(sec).u32(fraction).u32(uint32(len(data))).u32(wire)
	f.b = append(f.b, data...)
	ns := int64(fraction) * 1000
	if f.nano {
		ns = int64(fraction)
	}
	f.expect(Packet{DLT: dlt, Data: []byte(data), WireLen: max(wire, uint32(len(data))), Time: int64(sec)*1e9 + ns})
	return f.end()
}

// ng begins a pcapng file, or a further section of one.
func ng(order binary.AppendByteOrder) *file { return (&file{order: order}).section() }

func (f *file) section() *file {
	return f.block(0x0a0d0d0a, func() { f.u32(0x1a2b3c4d).u16(1).u16(0).u32(0xffffffff).u32(0xffffffff) })
}

// block adds a block around what body writes.
func (f *file) block(kind uint32, body func()) *file {
	at := len(f.b)
	f.u32(kind).u32(0)
	body()
	for len(f.b)%4 != 0 {
		f.b = append(f.b, 0)
	}
	total := uint32(len(f.b) - at + 4)
	copy(f.b[at+4:], f.order.AppendUint32(nil, total))
	return f.u32(total).end()
}

// iface adds an interface. resolution is an if_tsresol value, 0 for none: microseconds.
func (f *file) iface(dlt uint16, snap uint32, resolution uint8, offset int64) *file {
	return f.block(1, func() {
		f.u16(dlt).u16(0).u32(snap)
		f.u16(2).u16(3)
		f.b = append(f.b, "en0\x00"...) // if_name, padded
		if resolution != 0 {
			f.u16(9).u16(1)
			f.b = append(f.b, resolution, 0, 0, 0)
		}
		if offset != 0 {
			f.u16(14).u16(8)
			f.b = append(f.b, make([]byte, 8)...)
			if f.order == binary.AppendByteOrder(binary.BigEndian) {
				binary.BigEndian.PutUint64(f.b[len(f.b)-8:], uint64(offset))
			} else {
				binary.LittleEndian.PutUint64(f.b[len(f.b)-8:], uint64(offset))
			}
		}
		f.u32(0)
	})
}

// enhanced adds an enhanced packet block with a comment.
func (f *file) enhanced(iface uint32, stamp uint64, data string, want Packet) *file {
	want.Data = []byte(data)
	f.expect(want)
	return f.block(6, func() {
		f.u32(iface).u32(uint32(stamp >> 32)).u32(uint32(stamp)).u32(uint32(len(data))).u32(want.WireLen)
		f.b = append(f.b, data...)
		for len(f.b)%4 != 0 {
			f.b = append(f.b, 0)
		}
		f.u16(1).u16(2)
		f.b = append(f.b, "hi\x00\x00"...)
		f.u32(0)
	})
}

// simple adds a simple packet block.
func (f *file) simple(data string, want Packet) *file {
	want.Data = []byte(data)
	f.expect(want)
	return f.block(3, func() {
		f.u32(want.WireLen)
		f.b = append(f.b, data...)
	})
}

// old adds an obsolete packet block.
func (f *file) old(iface uint16, stamp uint64, data string, want Packet) *file {
	want.Data = []byte(data)
	f.expect(want)
	return f.block(2, func() {
		f.u16(iface).u16(7).u32(uint32(stamp >> 32)).u32(uint32(stamp)).u32(uint32(len(data))).u32(want.WireLen)
		f.b = append(f.b, data...)
	})
}

// foreign adds blocks without packets: names, secrets, statistics, a custom one.
func (f *file) foreign() *file {
	return f.block(4, func() { f.u16(1).u16(4 + 5).u32(0x01020304).b = append(f.b, "host\x00"...) }).
		block(10, func() { f.u32(0x544c534b).u32(3).b = append(f.b, "key"...) }).
		block(5, func() { f.u32(0).u32(0).u32(0).u16(4).u16(8).u32(0).u32(9).u32(0) }).
		block(0xbad, func() { f.u32(32473).b = append(f.b, "custom"...) })
}

// readAll reads to the error that ends the file, io.EOF included.
func readAll(t testing.TB, r io.Reader) ([]Packet, error) {
	t.Helper()
	f, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	var got []Packet
	for {
		var p Packet
		if err := f.Next(&p); err != nil {
			if f.Packets() != uint64(len(got)) {
				t.Errorf("Packets() is %d after %d packets", f.Packets(), len(got))
			}
			if again := f.Next(&p); again != err {
				t.Errorf("after %v came %v", err, again)
			}
			return got, err
		}
		p.Data = append([]byte(nil), p.Data...)
		got = append(got, p)
	}
}
