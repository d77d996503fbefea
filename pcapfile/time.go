package pcapfile

import "math/bits"

// nanos converts a pcapng time stamp to ns since the epoch. resolution is the interface's
// if_tsresol option: a negative power of 10, or of 2 when its highest bit is set; offset is
// if_tsoffset, in seconds. The decoder's own conversion is inexact for powers of 2, which need not
// divide a second into whole nanoseconds.
//
// Times outside the years 1678 to 2262, which no int64 of nanoseconds holds, wrap.
func nanos(stamp uint64, resolution uint8, offset int64) int64 {
	const second = 1_000_000_000
	units := uint64(1) // to the second
	switch e := resolution & 0x7f; {
	case resolution&0x80 != 0 && e > 63, resolution&0x80 == 0 && e > 19:
		return offset * second // finer than a stamp of 64 bits can count up to one second
	case resolution&0x80 != 0:
		units <<= e
	default:
		for range e {
			units *= 10
		}
	}
	hi, lo := bits.Mul64(stamp%units, second)
	fraction, _ := bits.Div64(hi, lo, units) // hi < units, because stamp%units < units and second < 2^64
	return (int64(stamp/units)+offset)*second + int64(fraction)
}
