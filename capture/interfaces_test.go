package capture

import (
	"math"
	"testing"
)

// Every index has the number that it was given, and no other has one.
func TestInterfaces(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 300, 5000} {
		numbers := map[int]int32{}
		for i := range n {
			index := i*i + 1
			if i%3 == 0 {
				index = math.MaxInt32 - i
			}
			numbers[index] = int32(i + 1)
		}
		s := NewInterfaces(numbers, false)
		for index, want := range numbers {
			if got := s.number(int32(index)); got != want {
				t.Fatalf("%d interfaces: index %d has number %d, want %d", n, index, got, want)
			}
		}
		for index := range 2 * n {
			if _, there := numbers[index]; !there && s.number(int32(index)) != 0 {
				t.Fatalf("%d interfaces: index %d, which is none of them, has number %d", n, index, s.number(int32(index)))
			}
		}
		if s.number(-1) != 0 || s.number(0) != 0 {
			t.Errorf("%d interfaces: there is a number for no interface", n)
		}
	}
}
