package table

import "golang.org/x/sys/unix"

const hugePage = 2 << 20 // bytes; where it is another size, only that is lost which whole pages gain

// mapping holds anonymous memory outside Go's heap. The kernel gives a page when it is first written, so
// resident memory follows what is in use. It is asked for huge pages, because random look-ups in a large
// mapping otherwise miss the TLB as well as the caches.
type mapping []byte

// newMapping maps size bytes, rounded up to whole huge pages.
func newMapping(size int) (mapping, error) {
	size = (size + hugePage - 1) &^ (hugePage - 1) // Linux 6.7 and later aligns whole huge pages
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
