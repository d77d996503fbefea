package table

import "golang.org/x/sys/unix"

// Mapped holds values in memory outside Go's heap, for what a reader copies out of a table: nothing is moved
// while streams become more, and nothing is left to the garbage collector. The kernel gives pages as they are
// written. Not safe for concurrent use.
type Mapped[T plain] struct {
	Values []T
	mem    mapping
}

// NewMapped maps n values, all zero. The error is mmap(2)'s.
func NewMapped[T plain](n int) (Mapped[T], error) {
	mem, err := unix.Mmap(-1, 0, n*sizeOf[T](), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return Mapped[T]{}, err
	}
	return Mapped[T]{values[T](mem, n), mem}, nil
}

// Discard gives the pages back to the kernel: all values are zero again.
func (m *Mapped[T]) Discard() {
	// It can only fail for arguments that the mapping rules out; the pages stay then.
	_ = unix.Madvise(m.mem, unix.MADV_DONTNEED)
}

// Close unmaps the memory. Values is unusable after it. The zero Mapped has nothing to close.
func (m *Mapped[T]) Close() error {
	mem := m.mem
	*m = Mapped[T]{}
	return mem.free()
}
