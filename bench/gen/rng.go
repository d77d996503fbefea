package gen

// rng is xorshift64* (Marsaglia 2003, Vigna 2014): a few cycles, inlined, the same numbers for
// the same seed for ever. Not for secrets.
type rng uint64

// newRNG spreads the seed (SplitMix64) so that neighbouring seeds give unlike numbers; the state
// is never 0.
func newRNG(seed uint64) rng {
	z := seed + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	if z == 0 {
		z = 1
	}
	return rng(z)
}

// next returns 64 random bits.
func (r *rng) next() uint64 {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = rng(x)
	return x * 0x2545f4914f6cdd1d
}

// below returns a number in [0, n): the high half of a product, with a bias of less than n/2^32.
func (r *rng) below(n int) int { return int(r.next() >> 32 * uint64(n) >> 32) }

// under returns true with probability threshold/2^32.
func (r *rng) under(threshold uint64) bool { return r.next()>>32 < threshold }
