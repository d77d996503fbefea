package parse

// Seq is a TCP sequence or acknowledgment number. Numbers lie on a circle of 2^32, so compare them with the
// methods, never with < (RFC 9293 section 3.4).
type Seq uint32

// Before reports whether s comes before t on the half circle that ends at t.
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }

// After reports whether s comes after t on the half circle that starts at t.
func (s Seq) After(t Seq) bool { return int32(s-t) > 0 }

// Add returns s moved forward by n numbers, wrapping at 2^32.
func (s Seq) Add(n uint32) Seq { return s + Seq(n) }

// InRange reports whether s lies from first to last, both included, on the arc that leads from first up to
// last.
func (s Seq) InRange(first, last Seq) bool { return s-first <= last-first }

// Near reports whether s and t lie at most reach numbers apart, on either side. reach is below 2^31.
func (s Seq) Near(t Seq, reach uint32) bool { return uint32(s-t)+reach <= 2*reach }

// Overlaps reports whether [start, end) and [from, to), none of them empty or longer than half the circle,
// have a number in common.
func Overlaps(start, end, from, to Seq) bool { return end.After(from) && start.Before(to) }
