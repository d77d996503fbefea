package table

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/stream"
)

// Rows is memory outside Go's heap for what a reader copies out of a table: as many streams as the
// table can hold, so that nothing is moved while they become more, and nothing is left to the garbage
// collector. The kernel gives pages as they are written. Not safe for concurrent use.
type Rows struct {
	views  []stream.View
	ends   []stream.Ends
	extras []stream.Extra
	mem    []byte
}

// NewRows makes room for both streams of each of n connections.
func NewRows(n int) (*Rows, error) {
	const endsSize = int(unsafe.Sizeof(stream.Ends{}))
	const each = 2 * (stream.ViewSize + endsSize + stream.ExtraSize)
	mem, err := unix.Mmap(-1, 0, n*each, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("cannot map %d bytes for a reader of %d connections: %w", n*each, n, err)
	}
	// Sound: the mapping is page-aligned and holds 2n of each; their sizes are multiples of 8, none
	// holds pointers, and every bit pattern of their fields is a valid value. Rows keeps the mapping
	// until Close.
	first := unsafe.Pointer(unsafe.SliceData(mem))
	return &Rows{
		views:  unsafe.Slice((*stream.View)(first), 2*n),
		ends:   unsafe.Slice((*stream.Ends)(unsafe.Add(first, 2*n*stream.ViewSize)), 2*n),
		extras: unsafe.Slice((*stream.Extra)(unsafe.Add(first, 2*n*(stream.ViewSize+endsSize))), 2*n),
		mem:    mem,
	}, nil
}

// The sizes that the layout counts on.
var _ [stream.ExtraSize]byte = [unsafe.Sizeof(stream.Extra{})]byte{}

// Views, Ends and Extras are the memory, without elements.
func (r *Rows) Views() []stream.View   { return r.views[:0] }
func (r *Rows) Ends() []stream.Ends    { return r.ends[:0] }
func (r *Rows) Extras() []stream.Extra { return r.extras[:0] }

// Shrink gives the pages back to the kernel if more than so many views were used. What was there is
// lost then.
func (r *Rows) Shrink(used, most int) {
	if used > most {
		// It can only fail for arguments that the mapping rules out; the pages stay then.
		_ = unix.Madvise(r.mem, unix.MADV_DONTNEED)
	}
}

// Close gives the memory back. What Views, Ends and Extras returned is unusable after it.
func (r *Rows) Close() error {
	mem := r.mem
	*r = Rows{}
	return mapping(mem).free()
}
