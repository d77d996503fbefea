package worker

import (
	"errors"
	"fmt"

	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
)

// rows holds the memory of a Snapshot, with room for both streams of every connection of the table. Not safe
// for concurrent use.
type rows struct {
	views  table.Mapped[stream.View]
	ends   table.Mapped[stream.Ends]
	extras table.Mapped[stream.Extra]
}

// newRows maps rows for both streams of n connections.
func newRows(n int) (*rows, error) {
	r := &rows{}
	var err error
	if r.views, err = table.NewMapped[stream.View](2 * n); err == nil {
		if r.ends, err = table.NewMapped[stream.Ends](2 * n); err == nil {
			r.extras, err = table.NewMapped[stream.Extra](2 * n)
		}
	}
	if err != nil {
		_ = r.close() // unmapping what was just mapped cannot fail
		const each = 2 * (stream.ViewSize + stream.EndsSize + stream.ExtraSize)
		return nil, fmt.Errorf("cannot map %d bytes for a reader of %d connections: %w", n*each, n, err)
	}
	return r, nil
}

// shrink gives the pages back to the kernel, with what is in them, if more than most views were used.
func (r *rows) shrink(used, most int) {
	if used > most {
		r.views.Discard()
		r.ends.Discard()
		r.extras.Discard()
	}
}

// close unmaps the memory, which must not be touched after it.
func (r *rows) close() error {
	return errors.Join(r.views.Close(), r.ends.Close(), r.extras.Close())
}
