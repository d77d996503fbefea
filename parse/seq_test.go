package parse

import "testing"

// The same distances anywhere on the circle give the same answers: at its beginning, across 2^31 and across
// 2^32, where plain comparisons fail.
func TestSeqOnTheCircle(t *testing.T) {
	for _, at := range []Seq{1000, 1<<31 - 3, 1<<32 - 3, 1<<32 - 1, 0} {
		for _, c := range []struct {
			name      string
			got, want bool
		}{
			{"a number is not before itself", at.Before(at), false},
			{"the next one comes after", at.Add(1).After(at), true},
			{"as far as the half circle reaches", at.Before(at.Add(1<<31 - 1)), true},

			{"the first number is in range", at.InRange(at, at.Add(5)), true},
			{"and the last", at.Add(5).InRange(at, at.Add(5)), true},
			{"the one behind is not", at.Add(6).InRange(at, at.Add(5)), false},
			{"nor the one before", (at - 1).InRange(at, at.Add(5)), false},
			{"a range of one number", at.InRange(at, at), true},
			{"a range longer than the half circle", at.Add(3<<30).InRange(at, at.Add(3<<30+1)), true},

			{"near above", at.Add(4).Near(at, 4), true},
			{"near below", (at - 4).Near(at, 4), true},
			{"too far above", at.Add(5).Near(at, 4), false},
			{"too far below", (at - 5).Near(at, 4), false},
			{"on the other side", at.Add(1<<31).Near(at, 4), false},
			{"no reach", at.Near(at, 0), true},

			{"a range overlaps itself", Overlaps(at, at.Add(5), at, at.Add(5)), true},
			{"one number in common at the end", Overlaps(at, at.Add(5), at.Add(4), at.Add(9)), true},
			{"one number in common at the start", Overlaps(at.Add(4), at.Add(9), at, at.Add(5)), true},
			{"one behind another", Overlaps(at, at.Add(5), at.Add(5), at.Add(9)), false},
			{"one before another", Overlaps(at.Add(5), at.Add(9), at, at.Add(5)), false},
			{"one within another", Overlaps(at, at.Add(9), at.Add(3), at.Add(4)), true},
		} {
			if c.got != c.want {
				t.Errorf("at %d: %s: %v", at, c.name, c.got)
			}
		}
	}
}
