package stream

// period is a time in 32 bits: ns up to 2.1 s, and above that in periodUnit, up to 137 s, which stands for
// all that is longer. Periods compare as their times do.
type period uint32

const (
	periodCoarse = 1 << 31 // the rest counts in periodUnit
	periodUnit   = 64      // ns
)

// periodOf rounds a time of ns, not below 0, down to a period.
func periodOf(ns int64) period {
	if ns < periodCoarse {
		return period(ns)
	}
	return periodCoarse | period(min(ns/periodUnit, periodCoarse-1))
}

// ns is the time in ns.
func (p period) ns() int64 {
	if p&periodCoarse != 0 {
		return int64(p&^periodCoarse) * periodUnit
	}
	return int64(p)
}
