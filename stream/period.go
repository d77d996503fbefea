package stream

// period is a time in 32 bits: ns up to 2.1 s, and above that in periodUnit, up to longestPeriod. Periods
// compare as their times do.
type period uint32

const (
	periodCoarse = 1 << 31 // the rest counts in periodUnit
	periodUnit   = 64      // ns

	// longestPeriod is 137 s, in ns. No segment lives longer than two minutes (the MSL of RFC 9293 section
	// 3.4.1), so that what is longer is no round trip, but a clock that was set.
	longestPeriod = (periodCoarse - 1) * periodUnit
)

// isPeriod reports whether ns is neither negative nor longer than longestPeriod.
func isPeriod(ns int64) bool { return uint64(ns) <= longestPeriod }

// periodOf rounds a time of ns, 0 to longestPeriod, down to a period.
func periodOf(ns int64) period {
	if ns < periodCoarse {
		return period(ns)
	}
	return periodCoarse | period(ns/periodUnit)
}

// ns returns the time in ns.
func (p period) ns() int64 {
	if p&periodCoarse != 0 {
		return int64(p&^periodCoarse) * periodUnit
	}
	return int64(p)
}

// elapsed is a time in 32 bits: 28 bits of it, and in the upper four the power of ten, in ns, that they count. To
// the ns up to 0.27 s, to the µs up to 268 s, and to eight digits above that.
type elapsed uint32

const elapsedBits = 28

// elapsedOf rounds a time of ns to an elapsed; below 0 it is none.
func elapsedOf(ns int64) elapsed {
	ns = max(ns, 0)
	unit, power := int64(1), elapsed(0)
	for ns/unit >= 1<<elapsedBits-1 { // less one, for rounding up
		unit, power = unit*10, power+1
	}
	return power<<elapsedBits | elapsed((ns-ns/unit*unit+unit/2)/unit+ns/unit)
}

// ns returns the time in ns.
func (e elapsed) ns() int64 {
	ns := int64(e & (1<<elapsedBits - 1))
	for e >>= elapsedBits; e > 0; e-- {
		ns *= 10
	}
	return ns
}
