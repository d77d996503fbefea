package table

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// Key is what a connection is found by. Its direction does not count.
type Key = parse.Flow

// noKey is the key of records that are not in the table: no packet has it. A look-up may then
// compare a record that a slot points to without knowing whether the slot is in use.
var noKey = parse.NoFlow()

// Seeds key the hash. They must be random and secret.
type Seeds [6]uint64

// narrow is the hash of a flow that is not wide. It mixes the key with 64×64→128-bit
// multiplications of words masked by the seeds. Without the seeds nobody can tell which keys share
// a group.
//
// All that can be chosen passes two multiplications: through one alone, keys at equal distances are
// hashes at equal distances, and one start in some hundred has seeds that crowd the ports of a
// single pair of addresses into a few groups.
func (s *Seeds) narrow(k *Key) uint64 {
	a, b := k.Narrow()
	return mix(mix(a^s[0], b^s[1]), s[4])
}

// wide is the hash of the others. Here every bit of both addresses can be chosen: ports in one word
// with an address could be chosen to cancel out, so they come in behind the first multiplications.
func (s *Seeds) wide(k *Key) uint64 {
	a, b, ports := k.Words()
	return mix(mix(mix(a.Lo^s[0], b.Lo^s[1])^mix(a.Hi^s[2], b.Hi^s[3])^ports, s[4]), s[5])
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
