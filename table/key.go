package table

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// Key identifies a connection: both endpoints, in either direction, and the identity beside them.
type Key = parse.Flow

// noKey is the key of records that are not in the table. No packet has it, so a look-up may compare the
// record of a slot without asking whether the slot is in use.
var noKey = parse.NoFlow()

// Seeds key the hash. They must be random and secret.
type Seeds [6]uint64

// narrow returns the hash of a plain flow: not wide, no identity. It mixes the key with 64×64→128-bit
// multiplications of words masked by the seeds. Without the seeds nobody can know which keys share a
// group.
//
// Every bit that a sender can choose passes two multiplications. After one alone, keys at equal distances
// have hashes at equal distances, and one program start in some hundred draws seeds that crowd the ports
// of a single pair of addresses into a few groups.
func (s *Seeds) narrow(k *Key) uint64 {
	a, b := k.Narrow()
	return mix(mix(a^s[0], b^s[1]), s[4])
}

// identified returns the hash of a flow that has an identity and is not wide. A sender who can choose VLAN tags as well
// as addresses and ports could choose them in the same word so that both cancel out: the identity comes in behind the
// first multiplication, and two more follow.
func (s *Seeds) identified(k *Key) uint64 {
	a, b := k.Narrow()
	return mix(mix(mix(a^s[0], b^s[1])^uint64(k.Identity())<<32, s[4]), s[5])
}

// wide returns the hash of a wide flow. A sender can choose every bit of its address, and could choose
// ports in the same word so that both cancel out: the ports, and the identity with them, come in behind the first
// multiplications.
func (s *Seeds) wide(k *Key) uint64 {
	a, b, tags := k.Words()
	return mix(mix(mix(a.Lo^s[0], b.Lo^s[1])^mix(a.Hi^s[2], b.Hi^s[3])^tags, s[4]), s[5])
}

// mix folds the 128-bit product of a and b into 64 bits.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
