// Package probe measures the clock rate at which a CPU works: on a shared machine others, on the same
// core or in another guest, take part of it away.
package probe

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// sink keeps the chain's result.
var sink uint64

// Reading is the result of a probe.
type Reading struct {
	GHz   float64 // of the CPU while the probe ran on it: less while a sibling on the same core is busy
	Share float64 // of the time the probe had the CPU, 0 to 1; the rest went to other programs
}

// CPU runs a chain of simple instructions, each of which waits for the one before and takes one
// cycle, on the CPU for about 20 ms.
func CPU(cpu int) (r Reading, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the pinned thread ends with the goroutine
		var set unix.CPUSet
		set.Set(cpu)
		if err = unix.SchedSetaffinity(0, &set); err != nil {
			err = fmt.Errorf("probe: pin to CPU %d: %w", cpu, err)
			return
		}
		chain(1 << 16) // the clock rate rises
		const rounds = 4 << 20
		start, cpuStart := time.Now(), threadTime()
		sink += chain(rounds)
		wall, worked := time.Since(start), threadTime()-cpuStart
		if worked > 0 {
			r = Reading{GHz: rounds * perRound / float64(worked), Share: min(float64(worked)/float64(wall), 1)}
		}
	}()
	<-done
	return r, err
}

// threadTime returns the processor time of the calling thread; 0 if the kernel refuses it.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// perRound is the length of a round's chain.
const perRound = 16

// chain alternates additions and exclusive-ors, which no compiler can put together.
func chain(rounds int) uint64 {
	x, a, b := sink, sink|1, sink|3
	for range rounds {
		x = ((((x + a) ^ b) + a) ^ b) + a ^ b
		x = ((((x + b) ^ a) + b) ^ a) + b ^ a
		x = ((x + a) ^ b) + a ^ b
	}
	return x
}
