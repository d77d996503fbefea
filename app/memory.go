package app

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
)

// perConnection is the most bytes that the index, the timers and the lists take for each connection
// (docs/operations.md).
const perConnection = 58

// checkMemory refuses a table that is larger than the machine's memory: its pages come as they are
// used, so that nothing else would fail before the memory is used up.
func (o *options) checkMemory() error {
	if total, ok := totalMemory(); ok {
		return o.fitsMemory(total)
	}
	return nil // without /proc the size is not known
}

func (o *options) fitsMemory(total uint64) error {
	each := o.connectionBytes()
	if need := uint64(o.maxConnections) * each; need > total {
		return fmt.Errorf("%s: needs up to %d bytes, the machine has %d bytes of memory: use at most %d",
			o.flag("max-connections"), need, total, total/each)
	}
	// Each worker has figures of its own, whose pages come as they are used, too.
	combinations := uint64(o.groups.max + o.groups.maxSubnets)
	if need := combinations * uint64(o.workers) * groupSize; need > total {
		return fmt.Errorf("%s and %s: the figures need up to %d bytes, the machine has %d bytes of memory: use at most %d together",
			o.flag("group-max"), o.flag("group-max-subnets"), need, total, total/groupSize/uint64(o.workers))
	}
	return nil
}

// groupSize is the memory of a combination of groups and service, in bytes.
var groupSize = uint64(reflect.TypeFor[group.Totals]().Size())

// connectionBytes returns the most that a connection takes of memory.
func (o *options) connectionBytes() uint64 {
	each := uint64(table.RecordSize + perConnection)
	if o.metrics.Families.NeedOptional() {
		each += stream.OptionalSize
	}
	return each
}

// totalMemory reads MemTotal, in bytes, out of /proc/meminfo (proc(5)).
func totalMemory() (bytes uint64, ok bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "MemTotal:"); found {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 53)
			return kib << 10, err == nil
		}
	}
	return 0, false
}
