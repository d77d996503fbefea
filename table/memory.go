package table

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/stream"
)

// mostPopulated is up to how large an index gets its memory at once, in bytes.
const mostPopulated = 64 << 20

// newSlab maps room for n records.
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

// Populate has the kernel give memory for records from to upTo-1, which may be in use, so that
// nobody waits for it later. It may be called while others use the table. It fails before Linux 5.14.
func (t *Table) Populate(from, upTo int) error {
	mask := unix.Getpagesize() - 1
	start, end := from*RecordSize&^mask, upTo*RecordSize
	if err := unix.Madvise(t.slab[start:end], unix.MADV_POPULATE_WRITE); err != nil || t.optionals == nil {
		return err
	}
	start, end = from*stream.OptionalSize&^mask, upTo*stream.OptionalSize
	return unix.Madvise(t.optionalMem[start:end], unix.MADV_POPULATE_WRITE)
}

// KeepOptional makes room for what stream.Optional holds of each connection. To be called before the
// first Insert.
func (t *Table) KeepOptional() error {
	n := len(t.records)
	mem, err := newMapping(n * stream.OptionalSize)
	if err != nil {
		return fmt.Errorf("cannot map %d bytes for the optional figures of %d connections: %w: use fewer connections", n*stream.OptionalSize, n, err)
	}
	t.optionalMem, t.optionals = mem, values[stream.Optional](mem, n)
	return nil
}

// Optional is what is kept of record i besides, after KeepOptional. A new record may find what an old
// one has left.
func (t *Table) Optional(i uint32) *stream.Optional { return &t.optionals[i] }
