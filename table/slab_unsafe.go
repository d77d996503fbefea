package table

import (
	"unsafe"

	groups "tcp-stream-exporter/group" // group is one of the index here
	"tcp-stream-exporter/stream"
)

// None of these builds if a size drifts.
var (
	_ [RecordSize]byte         = [unsafe.Sizeof(Record{})]byte{}
	_ [stream.ConnSize]byte    = [unsafe.Sizeof(stream.Conn{})]byte{}
	_ [stream.StreamSize]byte  = [unsafe.Sizeof(stream.Stream{})]byte{}
	_ [stream.DetailSize]byte  = [unsafe.Sizeof(stream.Detail{})]byte{}
	_ [stream.InOrderSize]byte = [unsafe.Sizeof(stream.InOrder{})]byte{}
	_ [stream.InOrderSize]byte = [unsafe.Offsetof(stream.Detail{}.InFlight)]byte{}
	_ [stream.InOrderSize]byte = [unsafe.Sizeof(stream.Detail{}.InFlight)]byte{}
	_ [groupSize]byte          = [unsafe.Sizeof(group{})]byte{}
	_ [stream.ViewSize]byte    = [unsafe.Sizeof(stream.View{})]byte{}

	_ [stream.OptionalSize]byte = [unsafe.Sizeof(stream.Optional{})]byte{}
	_ [stream.ExtraSize]byte    = [unsafe.Sizeof(stream.Extra{})]byte{}
	_ [stream.EndsSize]byte     = [unsafe.Sizeof(stream.Ends{})]byte{}
)

// plain lists the types that may stand in a mapping: none holds a pointer, every bit pattern of their
// fields is a valid value, and 8 bytes are alignment enough for each.
type plain interface {
	Record | group | stream.Optional | stream.View | stream.Ends | stream.Extra | groups.Histogram
}

// values returns the first n values of T in mem, which begins at a multiple of 8 bytes. It panics if mem
// is too short for them.
//
// Sound: plain lists the types of T, and the bounds are checked here. mem is a mapping, which its owner keeps
// until Close, as long as what is returned.
func values[T plain](mem []byte, n int) []T {
	_ = mem[:n*sizeOf[T]()]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)
}

// sizeOf returns the size of a T in bytes.
func sizeOf[T plain]() int {
	var t T
	return int(unsafe.Sizeof(t))
}

// group returns the first group of h's probe sequence: t.groups[h&t.mask] without the bounds check, which
// the compiler cannot leave out.
//
// Sound: mask is the number of groups minus one, and the groups live until Close.
func (t *Table) group(h uint64) *group {
	return (*group)(unsafe.Add(unsafe.Pointer(t.group0), (h&t.mask)*groupSize))
}

// record returns the record of a slot: t.records[i] without the bounds check.
//
// Sound: slots hold nothing but indices that Insert took from records, and 0 before.
func (t *Table) record(i uint32) *Record {
	return (*Record)(unsafe.Add(unsafe.Pointer(t.record0), uintptr(i)*RecordSize))
}
