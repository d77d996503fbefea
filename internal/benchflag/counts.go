// Package benchflag holds flags of benchmarks.
package benchflag

import (
	"fmt"
	"strconv"
	"strings"
)

// Counts is a flag of numbers of streams, with commas between them.
type Counts []int

// MaxCount is the highest number of streams that Set takes: the benchmarks' connections, of two streams
// each, differ in the last 24 bits of an address.
const MaxCount = 2 << 24

// String returns the numbers as Set takes them.
func (c *Counts) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*c), " ", ","), "[]")
}

// Set takes even numbers from 2 to MaxCount, as connections have two streams each.
func (c *Counts) Set(text string) error {
	*c = nil
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 2 || n > MaxCount || n%2 != 0 {
			return fmt.Errorf("want even numbers from 2 to %d, with commas between them", MaxCount)
		}
		*c = append(*c, n)
	}
	return nil
}
