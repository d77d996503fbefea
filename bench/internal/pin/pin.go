// Package pin keeps a process on one CPU.
package pin

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Process pins all threads of this process, and with them those that they start, to the CPU with
// the given number.
func Process(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("pin: threads of this process: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return fmt.Errorf("pin: /proc/self/task/%s: %w", task.Name(), err)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("pin: thread %d to CPU %d: %w", tid, cpu, err)
		}
	}
	return nil
}
