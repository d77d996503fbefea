// Command soak wears a table and a wheel as a capture does, for a given number of steps: in each a
// connection comes, one is looked up and stays longer, the wheel turns, and those expire whose time has
// come, or one makes room. It prints figures that must not change from quarter to quarter, and fails if
// they do.
//
//	go run ./internal/cmd/soak
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	steps := flag.Int("steps", 200_000_000, "how many `steps` to take")
	connections := flag.Int("connections", 1<<17, "room in the table")
	flag.Parse()
	if err := run(*connections, *steps, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// Bounds of a checkpoint's figures, some relative to the first checkpoint's.
const (
	longestProbe = 12      // groups; full tables of random keys have 3 to 7
	meanProbe    = 1.08    // groups; 1.01 after filling, 1.04 after much coming and going
	passedShare  = 0.15    // by how much the groups passed may differ from the first,
	passedSpare  = 60      // and how many more, for small tables
	memorySpare  = 1 << 20 // bytes of resident memory beyond the first: the pool of the wheel is as large
)

// run takes the steps and prints five checkpoints.
func run(connections, steps int, out io.Writer) error {
	m, err := newMill(connections)
	if err != nil {
		return err
	}
	defer m.table.Close()
	for range 4 * connections { // until the table has been full and is in its usual state
		m.step()
	}
	m.counts, m.since = counts{}, time.Now()
	fmt.Fprintf(out, "%-6s %12s %14s %12s %12s %9s %9s %8s %7s %7s %9s %9s\n", "", "steps", "table", "expired", "recycled",
		"wheel", "entries", "groups", "longest", "mean", "resident", "ns per")
	fmt.Fprintf(out, "%-6s %12s %14s %12s %12s %9s %9s %8s %7s %7s %9s %9s\n", "", "", "operations", "", "",
		"turns M", "", "passed", "probe", "probe", "KiB", "step")
	var first checkpoint
	for quarter := range 5 {
		if quarter > 0 {
			for range steps / 4 {
				m.step()
			}
		}
		c, err := m.checkpoint()
		if err != nil {
			return err
		}
		if quarter == 0 {
			first = c
		}
		fmt.Fprintf(out, "%-6s %12d %14d %12d %12d %9.1f %9d %8d %7d %7.4f %9d %9.0f\n", fmt.Sprint(25*quarter, " %"), m.counts.steps,
			m.counts.operations(), m.counts.expired, m.counts.recycled, float64(m.counts.turns)/1e6, c.entries, c.probes.Passed,
			c.probes.Longest, c.probes.Mean, c.resident>>10, c.nanos)
		if err := c.check(first); err != nil {
			return err
		}
	}
	if err := m.empty(); err != nil {
		return err
	}
	fmt.Fprintln(out, "emptied: no entry, no group passed, nothing armed")
	return nil
}
