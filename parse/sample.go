package parse

// MaxSample is the largest N of a sample of one connection in N.
const MaxSample = 1 << 16

// Sample selects one connection in N by a hash of its addresses and ports: both directions of a connection or none.
// The hash is fixed, so that captures at several places select the same connections, and those of a larger N are among
// those of a smaller one. The zero value selects all.
//
// The kernel filter of pcapfilter.Sample computes the same hash.
type Sample struct {
	below uint32 // the hashes that are selected; 0: all
}

// OneIn returns the sample of one connection in n, 1 (all) to MaxSample. Other values are the caller's fault, and select all.
func OneIn(n int) Sample {
	if n <= 1 || n > MaxSample {
		return Sample{}
	}
	return Sample{uint32(1 << 32 / uint64(n))}
}

// All reports whether every connection is selected.
func (s Sample) All() bool { return s.below == 0 }

// Selects reports whether f's connection is in the sample. The identity of a flow has no part in it.
func (s Sample) Selects(f *Flow) bool { return s.below == 0 || f.sampleHash() < s.below }

// Multipliers of sampleHash: odd, with bits that follow no pattern. The last two are those of MurmurHash3's fmix32.
const (
	sampleAddress = 0x9e3779b1
	samplePort    = 0xc4ceb9fd
	sampleMix1    = 0x85ebca6b
	sampleMix2    = 0xc2b2ae35
)

// sampleHash returns 32 bits, of which the upper ones are mixed best. Each end is mixed by itself before the two are
// added: otherwise 10.0.0.1 to 10.0.1.2 would have the hash of 10.0.0.2 to 10.0.1.1.
func (f *Flow) sampleHash() uint32 {
	a, b, aPort, bPort := f.Endpoints(0)
	h := sampleEnd(a, aPort) + sampleEnd(b, bPort)
	h ^= h >> 16
	h *= sampleMix1
	h ^= h >> 13
	return h * sampleMix2
}

// sampleEnd hashes one end. IPv4 has its mapped form here, as everywhere in this package.
func sampleEnd(a Addr, port uint16) uint32 {
	words := uint32(a.Hi>>32) + uint32(a.Hi) + uint32(a.Lo>>32) + uint32(a.Lo)
	e := words*sampleAddress + uint32(port)*samplePort
	return e ^ e>>16
}
