package table

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/stream"
)

// Record is what the table stores of a connection: its key and both of its streams.
type Record struct {
	Key Key
	stream.Conn
}

// RecordSize is the size of a Record in bytes: nine cache lines. The key shares the first with
// the connection's common state, the two hot halves follow in one line each, then the details of either in
// three, of which segments in order touch two.
const RecordSize = recordLines * lineSize

const (
	lineSize    = 64 // bytes of a cache line
	recordLines = 9

	// groupSize is the size of a group in bytes: one cache line. The assembly shifts (prefetch_*.s).
	groupSize  = 1 << groupShift
	groupShift = 6
)

// None of these builds if a size drifts.
var (
	_ [RecordSize]byte         = [unsafe.Sizeof(Record{})]byte{}
	_ [stream.ConnSize]byte    = [unsafe.Sizeof(stream.Conn{})]byte{}
	_ [stream.StreamSize]byte  = [unsafe.Sizeof(stream.Stream{})]byte{}
	_ [stream.DetailSize]byte  = [unsafe.Sizeof(stream.Detail{})]byte{}
	_ [stream.InOrderSize]byte = [unsafe.Sizeof(stream.InOrder{})]byte{}
	_ [stream.InOrderSize]byte = [unsafe.Offsetof(stream.Detail{}.Eventual)]byte{}
	_ [groupSize]byte          = [unsafe.Sizeof(group{})]byte{}
	_ [stream.ViewSize]byte    = [unsafe.Sizeof(stream.View{})]byte{}

	_ [stream.OptionalSize]byte = [unsafe.Sizeof(stream.Optional{})]byte{}
)

// PageRecords is how many records a huge page of memory holds.
const PageRecords = hugePage / RecordSize

const hugePage = 2 << 20 // bytes; where it is another size, only that is lost which whole pages gain

// mapping is anonymous memory outside Go's heap. The kernel gives a page only when it is first
// written, so resident memory follows what is in use. Huge pages are asked for: random look-ups in
// a large mapping otherwise miss the TLB as well as the caches.
type mapping []byte

func newMapping(size int) (mapping, error) {
	size = (size + hugePage - 1) &^ (hugePage - 1) // Linux aligns whole huge pages (from 6.7 on)
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	// Without transparent huge pages the advice fails and nothing else changes.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return mem, nil
}

func (m mapping) free() error {
	if m == nil {
		return nil
	}
	return unix.Munmap(m)
}

// mostPopulated is up to how large an index gets its memory at once, in bytes.
const mostPopulated = 64 << 20

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
//
// The cast is sound for newSlab's reasons.
func (t *Table) KeepOptional() error {
	n := len(t.records)
	mem, err := newMapping(n * stream.OptionalSize)
	if err != nil {
		return fmt.Errorf("cannot map %d bytes for the optional figures of %d connections: %w: use fewer connections", n*stream.OptionalSize, n, err)
	}
	t.optionalMem, t.optionals = mem, unsafe.Slice((*stream.Optional)(unsafe.Pointer(unsafe.SliceData(mem))), n)
	return nil
}

// Optional is what is kept of record i besides, after KeepOptional. A new record may find what an old
// one has left.
func (t *Table) Optional(i uint32) *stream.Optional { return &t.optionals[i] }

// newSlab maps room for n records.
//
// The cast is sound: the mapping is page-aligned and n records long, Record holds no pointers, and
// every bit pattern of its fields is a valid value. The slab lives as long as the mapping.
func newSlab(n int) ([]Record, mapping, error) {
	size := n * RecordSize
	mem, err := newMapping(size)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot map %d bytes for %d connections: %w: use fewer connections", size, n, err)
	}
	return unsafe.Slice((*Record)(unsafe.Pointer(unsafe.SliceData(mem))), n), mem, nil
}

// group is the group where h's way begins: t.groups[h&t.mask] without the check that the compiler
// cannot leave out.
//
// Sound: mask is the number of groups minus one, and the groups live until Close.
func (t *Table) group(h uint64) *group {
	return (*group)(unsafe.Add(unsafe.Pointer(t.group0), (h&t.mask)*groupSize))
}

// record is the record that a slot points to, t.records[i] without the check.
//
// Sound: slots hold nothing but indices that Insert took from records, and 0 before.
func (t *Table) record(i uint32) *Record {
	return (*Record)(unsafe.Add(unsafe.Pointer(t.record0), uintptr(i)*RecordSize))
}

// Found is At for an index that FindAll has found, which needs no check.
func (t *Table) Found(i uint32) *Record { return t.record(i) }

// newGroups maps n empty groups: zeroed memory is empty. The cast is sound for newSlab's reasons.
func newGroups(n int) ([]group, mapping, error) {
	size := n * groupSize
	mem, err := newMapping(size)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot map %d bytes for the index: %w: use fewer connections", size, err)
	}
	if size <= mostPopulated {
		_ = unix.Madvise(mem, unix.MADV_POPULATE_WRITE) // before Linux 5.14 the pages come when they are written
	}
	return unsafe.Slice((*group)(unsafe.Pointer(unsafe.SliceData(mem))), n), mem, nil
}
