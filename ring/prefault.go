package ring

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// prefaultPiece is the number of bytes that prefault has the kernel allocate in one call, which takes a
	// quarter of a second on the virtual machine below.
	prefaultPiece = 64 << 20
	// prefaultPieces is the most pieces, each with a descriptor. A ring of more than 32 GiB gets larger ones.
	prefaultPieces = 512
)

// prefault has the kernel find and clear a large ring's memory piece by piece, and gives it back. The ring
// that is opened next gets the same pages. Before each piece prefault looks whether ctx has ended.
//
// Without it a stop would have to wait for the ring. The kernel allocates a ring in one call of setsockopt,
// which no signal ends, not even SIGKILL (alloc_pg_vec looks for none), and a process that exits stays until
// the call is over. With 6 GB that was 15 to 25 s on a virtual machine whose host first had to find the
// memory; after prefault, which takes that time instead, it is 0.3 to 0.8 s. Where the memory is there
// already, prefault takes 60 ms for each GB, as long as the ring itself.
//
// The pieces are rings of sockets that are bound to nothing: they take the same kind of memory, in blocks
// of the same size, and are charged to no memory cgroup.
func prefault(ctx context.Context, c Config, piece uint64) (err error) {
	if c.bytes() <= 2*piece {
		return nil
	}
	var sockets []int
	defer func() {
		for _, fd := range sockets {
			_ = unix.Close(fd) // it was never used
		}
	}()
	each := c
	each.NumBlocks = c.pieceBlocks(piece)
	for rest := c.NumBlocks; rest > 0; rest -= each.NumBlocks {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("ring: given up while its memory was allocated: %w", err)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil // no rights, or no descriptors: opening the ring reports it, or works without
		}
		sockets = append(sockets, fd)
		each.NumBlocks = min(each.NumBlocks, rest)
		if err := setVersion(fd); err != nil {
			return err
		}
		if err := setRing(fd, each); err != nil {
			return memoryError("allocate", c, err)
		}
	}
	return nil
}

// pieceBlocks returns how many of the ring's blocks make a piece of so many bytes.
func (c Config) pieceBlocks(piece uint64) int {
	leastBlocks := (c.NumBlocks + prefaultPieces - 1) / prefaultPieces
	return max(int(piece/uint64(c.BlockSize)), leastBlocks)
}
