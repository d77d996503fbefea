package expositiontest

import (
	"math"
	"math/rand/v2"
	"net/netip"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// AllHas holds the bits of a View that has every figure.
const AllHas = stream.HasRate | stream.HasDelay | stream.HasBitrate | stream.HasSize | stream.HasInterarrival

// Addr returns the address that s spells. It panics if s is none.
func Addr(s string) parse.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return parse.AddrFrom(a)
}

// Stream is a View with its addresses.
type Stream struct {
	Src, Dst parse.Addr
	stream.View
}

// Views returns the streams as a snapshot has them: the Views, and the addresses that they refer to.
func Views(streams []Stream) (views []stream.View, wide []stream.Ends) {
	views = make([]stream.View, 0, len(streams))
	for _, s := range streams {
		wide = s.SetEnds(stream.Ends{Src: s.Src, Dst: s.Dst}, wide)
		views = append(views, s.View)
	}
	return views, wide
}

// Fixed returns the streams of the golden texts: one with every figure, one with none of the conditional
// ones, one IPv6 with some.
func Fixed() []Stream {
	return []Stream{
		{Addr("10.0.0.1"), Addr("203.0.113.255"), stream.View{
			SrcPort: 43210, DstPort: 443,
			Has: AllHas, Health: 63, WindowBytes: 64256, Packets: 1500, Bytes: 20971520,
			Uptime: 12.345678901, MinDelay: 0.000125, MaxDelay: 1.25, Bitrate: 16000000,
			AvgDelay: 0.015584, Jitter: 0.0023, BitrateVariation: 0.25, SizeVariation: 1.5e-7, InterarrivalDeviation: 0.01,
			Retransmits: 5, OutOfOrder: 4, DuplicateAcks: 3, Gaps: 2, ZeroWindows: 1,
		}},
		{Addr("203.0.113.255"), Addr("10.0.0.1"), stream.View{
			SrcPort: 443, DstPort: 43210,
			Finalized: true, Health: 80, Resets: 1, Packets: 1,
		}},
		{Addr("2001:db8::1"), Addr("2001:db8:0:1::2"), stream.View{
			SrcPort: 65535, DstPort: 1,
			Has: stream.HasRate | stream.HasInterarrival, Health: 100, WindowBytes: 1 << 30, Packets: 1 << 40, Bytes: 1 << 63,
			Uptime: 3600, InterarrivalDeviation: 9.5,
		}},
	}
}

// Random returns n different streams with arbitrary figures.
func Random(r *rand.Rand, n int) []Stream {
	views := make([]Stream, n)
	for i := range views {
		a, b := parse.AddrFrom4(0x0a000000|uint32(i)), parse.AddrFrom4(r.Uint32())
		if r.IntN(8) == 0 {
			a, b = parse.Addr{Hi: 0x20010db8 << 32, Lo: uint64(i)}, parse.Addr{Hi: r.Uint64(), Lo: r.Uint64()}
		}
		views[i] = Stream{a, b, stream.View{
			SrcPort: uint16(r.Uint32()), DstPort: uint16(r.Uint32()),
			Finalized: r.IntN(3) == 0, Has: stream.Has(r.UintN(32)), Health: uint8(r.UintN(101)), WindowBytes: r.Uint32(),
			Packets: r.Uint64() >> r.UintN(64), Bytes: r.Uint64() >> r.UintN(64),
			Uptime: r.ExpFloat64() * 100, MinDelay: r.Float32() / 1000, MaxDelay: r.Float32(),
			Bitrate: float64(r.Uint32()) * 8, AvgDelay: r.Float32(), Jitter: r.Float32() / 100,
			BitrateVariation: r.Float32() * 3, SizeVariation: r.Float32(), InterarrivalDeviation: r.Float32(),
			Retransmits: r.Uint32() >> r.UintN(32), OutOfOrder: r.Uint32N(100), DuplicateAcks: r.Uint32N(1000),
			Gaps: r.Uint32N(10), ZeroWindows: r.Uint32N(3), Resets: r.Uint32N(2),
		}}
	}
	return views
}

// FromBits returns a stream whose figures all come from bits and bits32, as they are or as floats. a holds
// the halves of its addresses; flags holds the bits of Has and, as bit 5, the state.
func FromBits(a [4]uint64, ports uint32, bits uint64, bits32 uint32, flags uint8) Stream {
	x, y := math.Float64frombits(bits), math.Float32frombits(bits32)
	return Stream{parse.Addr{Hi: a[0], Lo: a[1]}, parse.Addr{Hi: a[2], Lo: a[3]}, stream.View{
		SrcPort: uint16(ports >> 16), DstPort: uint16(ports),
		Finalized: flags&0x20 != 0, Has: stream.Has(flags) & AllHas, Health: uint8(bits), WindowBytes: bits32, Packets: bits, Bytes: bits,
		Uptime: x, MinDelay: y, MaxDelay: -y, Bitrate: x,
		AvgDelay: y, Jitter: -y, BitrateVariation: y, SizeVariation: -y, InterarrivalDeviation: y,
		Retransmits: bits32, OutOfOrder: ^bits32, DuplicateAcks: bits32 >> 8, Gaps: bits32 >> 16, ZeroWindows: bits32 >> 24, Resets: bits32 << 8,
	}}
}
