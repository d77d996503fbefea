package wheel_test

import (
	"fmt"

	"tcp-stream-exporter/wheel"
)

// A deadline far ahead is popped on each level before it has come, and armed again.
func ExampleWheel_Advance() {
	const deadline = 5000
	w := wheel.New(1)
	w.Reset(130)
	w.Arm(0, deadline)
	out := make([]uint32, 1)
	for now := uint32(131); w.Armed(0); now++ {
		n, _ := w.Advance(now, out)
		for _, i := range out[:n] {
			if deadline > now {
				w.Arm(i, deadline)
			}
			fmt.Println("popped at tick", now)
		}
	}
	// Output:
	// popped at tick 4096
	// popped at tick 4992
	// popped at tick 5000
}
