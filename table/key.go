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
type Seeds [5]uint64

// wide mixes the key with 64×64→128-bit multiplications of words masked by the seeds. Without the
// seeds nobody can tell which keys share a group.
func (s *Seeds) wide(k *Key) uint64 {
	return mix(mix(k.A.Lo^s[0], k.B.Lo^s[1])^mix(k.A.Hi^s[2], k.B.Hi^s[3])^uint64(k.Ports()), s[4])
}

// narrow is the same for flows that are not wide.
func (s *Seeds) narrow(k *Key) uint64 {
	return mix(mix(k.A.Lo^s[0], k.B.Lo^s[1])^uint64(k.Ports()), s[4])
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
