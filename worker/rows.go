package table

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/stream"
)

// Rows holds memory outside Go's heap for what a reader copies out of a table. It has the capacity of the
// table, so nothing is moved while streams become more, and nothing is left to the garbage collector. The
// kernel gives pages as they are written. Not safe for concurrent use.
type Rows struct {
	views  []stream.View
	ends   []stream.Ends
	extras []stream.Extra
	mem    []byte
}

// NewRows maps rows for both streams of n connections.
func NewRows(n int) (*Rows, error) {
	const each = 2 * (stream.ViewSize + endsSize + stream.ExtraSize)
	mem, err := unix.Mmap(-1, 0, n*each, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("cannot map %d bytes for a reader of %d connections: %w", n*each, n, err)
	}
	ends, extras := 2*n*stream.ViewSize, 2*n*(stream.ViewSize+endsSize)
	return &Rows{
		views:  values[stream.View](mem, 2*n),
		ends:   values[stream.Ends](mem[ends:], 2*n),
		extras: values[stream.Extra](mem[extras:], 2*n),
		mem:    mem,
	}, nil
}

// Views returns the memory for views as an empty slice to append to.
func (r *Rows) Views() []stream.View { return r.views[:0] }

// Ends returns the memory for ends as an empty slice to append to.
func (r *Rows) Ends() []stream.Ends { return r.ends[:0] }

// Extras returns the memory for extras as an empty slice to append to.
func (r *Rows) Extras() []stream.Extra { return r.extras[:0] }

// Shrink gives the pages back to the kernel, with what is in them, if more than most views were used.
func (r *Rows) Shrink(used, most int) {
	if used > most {
		// It can only fail for arguments that the mapping rules out; the pages stay then.
		_ = unix.Madvise(r.mem, unix.MADV_DONTNEED)
	}
}

// Close unmaps the memory. What Views, Ends and Extras returned is unusable after it.
func (r *Rows) Close() error {
	mem := r.mem
	*r = Rows{}
	return mapping(mem).free()
}
