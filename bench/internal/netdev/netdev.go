// Package netdev reads the counters of a network interface in a namespace.
package netdev

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"tcp-stream-exporter/bench/lab"
)

// Counters holds what an interface has received.
type Counters struct {
	Bytes, Packets uint64 // whole frames; a super-packet is one
}

// Sub returns what came since before.
func (c Counters) Sub(before Counters) Counters {
	return Counters{c.Bytes - before.Bytes, c.Packets - before.Packets}
}

// headers of a TCP segment of package gen: Ethernet, IPv4 and TCP without options, bytes.
const headers = 54

// Segments returns how many segments of so much payload the frames hold: the headers of a super-packet are counted
// once.
func (c Counters) Segments(payload int) uint64 {
	if payload == 0 || c.Bytes < c.Packets*headers {
		return c.Packets
	}
	return (c.Bytes - c.Packets*headers) / uint64(payload)
}

// Received reads the counters of a device at an end of a lab.
func Received(e lab.End, device string) (c Counters, err error) {
	err = e.Do(func() error {
		// The thread's own file: its process is in another namespace.
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		c, err = parse(string(text), device)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("counters of %s in %s: %w", device, e.Namespace, err)
	}
	return c, nil
}

// parse reads /proc/net/dev, whose lines are "name: bytes packets …" (net/core/net-procfs.c).
func parse(text, device string) (c Counters, err error) {
	for line := range strings.Lines(text) {
		name, values, found := strings.Cut(line, ":")
		fields := strings.Fields(values)
		if !found || strings.TrimSpace(name) != device || len(fields) < 2 {
			continue
		}
		if c.Bytes, err = strconv.ParseUint(fields[0], 10, 64); err != nil {
			return c, err
		}
		c.Packets, err = strconv.ParseUint(fields[1], 10, 64)
		return c, err
	}
	return c, fmt.Errorf("/proc/net/dev has no line of it")
}
