package table

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/stream"
)

// mostPopulated is the size in bytes up to which an index gets its memory at once.
const mostPopulated = 64 << 20

// newSlab maps n records.
func newSlab(n int) ([]Record, mapping, error) {
	size := n * RecordSize
	mem, err := newMapping(size)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot map %d bytes for %d connections: %w: use fewer connections", size, n, err)
	}
	return values[Record](mem, n), mem, nil
}

// newGroups maps n empty groups: zeroed memory is empty.
func newGroups(n int) ([]group, mapping, error) {
	size := n * groupSize
	mem, err := newMapping(size)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot map %d bytes for the index: %w: use fewer connections", size, err)
	}
	if size <= mostPopulated {
		_ = unix.Madvise(mem, unix.MADV_POPULATE_WRITE) // before Linux 5.14 the pages come when they are written
	}
	return values[group](mem, n), mem, nil
}

// Populate has the kernel give memory for records from to upTo-1, so that no packet waits for it later.
// The records may be in use, and another goroutine may use the table meanwhile. It needs Linux 5.14
// (MADV_POPULATE_WRITE, madvise(2)).
func (t *Table) Populate(from, upTo int) error {
	mask := unix.Getpagesize() - 1
	start, end := from*RecordSize&^mask, upTo*RecordSize
	if err := unix.Madvise(t.slab[start:end], unix.MADV_POPULATE_WRITE); err != nil || t.optionals == nil {
		return err
	}
	start, end = from*stream.OptionalSize&^mask, upTo*stream.OptionalSize
	return unix.Madvise(t.optionalMem[start:end], unix.MADV_POPULATE_WRITE)
}

// KeepOptional maps a stream.Optional for each record. Call it before the first Insert.
func (t *Table) KeepOptional() error {
	n := len(t.records)
	mem, err := newMapping(n * stream.OptionalSize)
	if err != nil {
		return fmt.Errorf("cannot map %d bytes for the optional figures of %d connections: %w: use fewer connections", n*stream.OptionalSize, n, err)
	}
	t.optionalMem, t.optionals = mem, values[stream.Optional](mem, n)
	return nil
}

// Optional returns the stream.Optional of record i. It needs KeepOptional. A new record finds in it what
// the one before has left.
func (t *Table) Optional(i uint32) *stream.Optional { return &t.optionals[i] }
