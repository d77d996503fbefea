package table

import (
	"math"
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/parse"
)

const (
	v4Client, v4Server = 0x0a000001, 0xc0000201
	v6Net              = 0x20010db8 << 32
)

func v4Key(a, b uint32, aPort, bPort int) Key {
	return parse.FlowOf(parse.AddrFrom4(a), parse.AddrFrom4(b), uint16(aPort), uint16(bPort))
}

func v6Key(aHi, aLo, bHi, bLo uint64, aPort, bPort int) Key {
	return parse.FlowOf(parse.Addr{Hi: v6Net + aHi, Lo: aLo}, parse.Addr{Hi: v6Net + 1<<20 + bHi, Lo: bLo}, uint16(aPort), uint16(bPort))
}

// identified returns k with an identity.
func identified(k Key, id int) Key {
	k.SetIdentity(uint32(id))
	return k
}

// structured are families of keys as an address plan, a port scan or an attacker without the seeds
// would choose them: the i-th of 65,536 different ones.
var structured = []struct {
	name string
	key  func(i int) Key
}{
	{"one pair of addresses, all ports of the lower", func(i int) Key { return v4Key(v4Client, v4Server, i, 443) }},
	{"one pair of addresses, all ports of the higher", func(i int) Key { return v4Key(v4Client, v4Server, 443, i) }},
	{"one pair of addresses, 256 ports on either side", func(i int) Key { return v4Key(v4Client, v4Server, i>>8, i&255) }},
	{"one pair of addresses, every 256th port on either side", func(i int) Key { return v4Key(v4Client, v4Server, i&0xff00, i&255<<8) }},
	{"one pair of addresses, equal ports", func(i int) Key { return v4Key(v4Client, v4Server, i, i) }},
	{"sequential lower addresses", func(i int) Key { return v4Key(v4Client+uint32(i), v4Server, 40000, 443) }},
	{"sequential higher addresses", func(i int) Key { return v4Key(v4Client, v4Server+uint32(i), 40000, 443) }},
	{"one address in every /16", func(i int) Key { return v4Key(uint32(i)<<16, 0xffffffff, 40000, 443) }},
	{"256 addresses on either side", func(i int) Key { return v4Key(v4Client+uint32(i>>8), v4Server+uint32(i&255), 40000, 443) }},
	{"16 addresses, 4096 ports each", func(i int) Key { return v4Key(v4Client+uint32(i>>12), v4Server, 32768+i&4095, 443) }},
	{"address and port step together", func(i int) Key { return v4Key(v4Client+uint32(i), v4Server, i, 443) }},
	{"IPv6, sequential interface identifiers", func(i int) Key { return v6Key(0, uint64(i), 0, 1, 40000, 443) }},
	{"IPv6, sequential networks", func(i int) Key { return v6Key(uint64(i), 1, 0, 1, 40000, 443) }},
	{"IPv6, one identifier in every 2^48", func(i int) Key { return v6Key(0, uint64(i)<<48, 0, 1, 40000, 443) }},
	{"IPv6, network and identifier step together", func(i int) Key { return v6Key(uint64(i), uint64(i), 0, 1, 40000, 443) }},
	{"IPv6, 16 of each half", func(i int) Key {
		return v6Key(uint64(i&15), uint64(i>>4&15), uint64(i>>8&15), uint64(i>>12), 40000, 443)
	}},
	{"IPv6, one pair of addresses, all ports of the lower", func(i int) Key { return v6Key(0, 1, 0, 1, i, 443) }},
	{"IPv6, one pair of addresses, all ports of the higher", func(i int) Key { return v6Key(0, 1, 0, 1, 443, i) }},
	{"IPv6, identifier and ports cancel out in the lower half", func(i int) Key { return v6Key(0, uint64(i), 0, 1, 0, i) }},
	{"IPv6, identifier and ports cancel out in the upper half", func(i int) Key { return v6Key(0, uint64(i)<<32, 0, 1, 0, i) }},
	{"one connection, sequential identities", func(i int) Key { return identified(v4Key(v4Client, v4Server, 40000, 443), i) }},
	{"one connection, every 4096th identity", func(i int) Key { return identified(v4Key(v4Client, v4Server, 40000, 443), i<<12) }},
	{"one connection, upper bits of the identity", func(i int) Key { return identified(v4Key(v4Client, v4Server, 40000, 443), i<<14) }},
	{"address and identity step together", func(i int) Key { return identified(v4Key(v4Client+uint32(i), v4Server, 40000, 443), i) }},
	{"port and identity step together", func(i int) Key { return identified(v4Key(v4Client, v4Server, i, 443), i) }},
	{"256 ports on 256 identities", func(i int) Key { return identified(v4Key(v4Client, v4Server, i>>8, 443), i&255) }},
	{"IPv6, one connection, sequential identities", func(i int) Key { return identified(v6Key(0, 1, 0, 1, 40000, 443), i) }},
	{"IPv6, port and identity step together", func(i int) Key { return identified(v6Key(0, 1, 0, 1, 40000, i), i) }},
	{"IPv6, network and ports cancel out", func(i int) Key { return v6Key(uint64(i)<<16, 1, 0, 1, i, 0) }},
}

// Without the seeds no choice of keys does better than chance: over many random seeds, the groups
// and control bytes of structured keys are spread as evenly, and as unevenly, as those of random
// keys. The bounds on the fullest group and control byte are met by random keys in all but one of
// ten million runs; those on the mean deviation are nine standard deviations wide.
func TestStructuredKeysAreSpreadLikeRandomOnes(t *testing.T) {
	const (
		keys     = 1 << 16
		groups   = 1 << 14
		draws    = 40
		fullest  = 28  // of a mean of 4
		busiest  = 700 // of a mean of 512
		deviates = 1.5 // in standard deviations of chi-square, mean of all draws: 0 ± 0.16
	)
	random := make([]Key, keys)
	for i := range random {
		random[i] = v4Key(rand.Uint32(), rand.Uint32(), rand.IntN(1<<16), rand.IntN(1<<16))
	}
	families := append(structured[:len(structured):len(structured)], struct {
		name string
		key  func(i int) Key
	}{"random", func(i int) Key { return random[i] }})
	for _, f := range families {
		list := make([]Key, keys)
		for i := range list {
			list[i] = f.key(i)
		}
		tab := &Table{}
		var deviation, deviationH2 float64
		mostGroup, mostH2 := 0, 0
		for range draws {
			tab.seeds = randomSeeds()
			var perGroup [groups]int
			var perH2 [128]int
			for i := range list {
				h := tab.Hash(&list[i])
				perGroup[h%groups]++
				perH2[h>>57]++
			}
			d, most := spread(perGroup[:], keys)
			deviation, mostGroup = deviation+d/draws, max(mostGroup, most)
			d, most = spread(perH2[:], keys)
			deviationH2, mostH2 = deviationH2+d/draws, max(mostH2, most)
		}
		t.Logf("%-56s fullest group %2d, deviation %+.2f; busiest control byte %d, deviation %+.2f",
			f.name, mostGroup, deviation, mostH2, deviationH2)
		if mostGroup >= fullest || mostH2 >= busiest {
			t.Errorf("%s: %d of %d keys in one group, %d with one control byte; want below %d and %d",
				f.name, mostGroup, keys, mostH2, fullest, busiest)
		}
		if math.Abs(deviation) > deviates || math.Abs(deviationH2) > deviates {
			t.Errorf("%s: chi-square deviates by %.2f and %.2f, want at most %v", f.name, deviation, deviationH2, deviates)
		}
	}
}

// Keys that differ in their identity alone share a group and a control byte no more often than chance has it, with
// any seeds: one pair in 2^21 with 2^14 groups.
func TestIdentitiesShareNoSlot(t *testing.T) {
	const draws, identities = 2000, 64
	together := 0
	tab := &Table{}
	for range draws {
		tab.seeds = randomSeeds()
		for _, key := range []Key{v4Key(v4Client, v4Server, 40000, 443), v6Key(0, 1, 0, 1, 40000, 443)} {
			var hashes [identities]uint64
			for id := range hashes {
				k := identified(key, id)
				hashes[id] = tab.Hash(&k)
				for _, h := range hashes[:id] {
					if (h^hashes[id])&(1<<14-1|0x7f<<57) == 0 {
						together++
					}
				}
			}
		}
	}
	// 8 million pairs: a mean of 3.8. Random hashes reach 20 once in 10^8 runs.
	t.Logf("%d pairs share a group and a control byte", together)
	if together > 20 {
		t.Errorf("%d pairs of identities share a group and a control byte, want 4 or so", together)
	}
}

// spread returns how far chi-square of the counts of n keys is from its mean, in standard deviations, and
// the largest count.
func spread(counts []int, n int) (deviation float64, most int) {
	want := float64(n) / float64(len(counts))
	sum := 0.0
	for _, c := range counts {
		sum += (float64(c) - want) * (float64(c) - want) / want
		most = max(most, c)
	}
	freedom := float64(len(counts) - 1)
	return (sum - freedom) / math.Sqrt(2*freedom), most
}

// hostileKeys finds n keys that all have their first group, and with it their whole probe sequence, in common
// in a table of so many groups with known seeds.
func hostileKeys(seeds Seeds, groups uint64, n int, candidate func(i uint64) Key) []Key {
	tab := &Table{seeds: seeds}
	found := make([]Key, 0, n)
	for i := uint64(0); len(found) < n; i++ {
		if k := candidate(i); tab.Hash(&k)&(groups-1) == 0 {
			found = append(found, k)
		}
	}
	return found
}

// Keys that share one probe sequence under known seeds are nothing special in a table with its own seeds, also
// when it is full. With the known seeds they make one long chain, which shows that they are hostile.
func TestHostileKeysDoNoHarm(t *testing.T) {
	const (
		connections = 1 << 16
		hostile     = 2048
		tables      = 5
		// A full table has a mean of 4 entries in groups of 8. In 2,000 simulated tables of random
		// hashes the longest probe was 3 to 7 groups, the mean at most 1.012.
		longest, mean = 16, 1.1
	)
	var known Seeds
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(known); i++ {
		known[i] = r.Uint64()
	}
	ordinary := func(i int) Key {
		return v4Key(rand.Uint32(), v4Server+uint32(i), 1024+rand.IntN(60000), 443)
	}
	fill := func(seeds Seeds, keys []Key) (p Probes) {
		tab, err := newSeeded(connections, seeds)
		if err != nil {
			t.Fatal(err)
		}
		defer tab.Close()
		for i := range connections {
			k := ordinary(i)
			if i < len(keys) {
				k = keys[i]
			}
			h := tab.Hash(&k)
			if _, ok := tab.Find(&k, h); ok {
				continue // a random key that came twice
			}
			if _, ok := tab.Insert(&k, h); !ok {
				t.Fatal("full")
			}
		}
		return tab.Probes()
	}
	groups := uint64(1 << 14)
	for _, f := range []struct {
		name string
		keys []Key
	}{
		{"random keys alone", nil},
		{"2,048 hostile IPv4 keys", hostileKeys(known, groups, hostile, func(i uint64) Key {
			return v4Key(v4Client+uint32(i>>16), v4Server, int(i&0xffff), 443)
		})},
		{"2,048 hostile identities", hostileKeys(known, groups, hostile, func(i uint64) Key {
			return identified(v4Key(v4Client, v4Server, 40000, 443), int(i))
		})},
		{"2,048 hostile IPv6 keys", hostileKeys(known, groups, hostile, func(i uint64) Key {
			return v6Key(0, i, 0, 1, 40000, 443)
		})},
	} {
		worst, sum := 0, 0.0
		for range tables {
			p := fill(randomSeeds(), f.keys)
			worst, sum = max(worst, p.Longest), sum+p.Mean/tables
		}
		t.Logf("%-24s own seeds:   longest probe %3d groups, mean %.3f (%d tables)", f.name, worst, sum, tables)
		if worst > longest || sum > mean {
			t.Errorf("%s in tables with their own seeds: longest probe %d groups, mean %.3f; want at most %d and %v",
				f.name, worst, sum, longest, mean)
		}
		if f.keys == nil {
			continue
		}
		p := fill(known, f.keys)
		t.Logf("%-24s known seeds: longest probe %3d groups, mean %.3f", f.name, p.Longest, p.Mean)
		if p.Longest < hostile/groupSlots {
			t.Errorf("%s with the known seeds: longest probe %d groups: they are not hostile, want %d at least",
				f.name, p.Longest, hostile/groupSlots)
		}
	}
}
