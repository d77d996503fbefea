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
