package ring

import (
	"context"
	"errors"
	"testing"
)

// A large ring's memory is found in pieces, between which the opening may be given up; nothing of them
// stays.
func TestPrefault(t *testing.T) {
	cap0, _ := veth(t)
	c := small(t, cap0)
	c.NumBlocks = 10
	block := uint64(c.BlockSize)
	for _, row := range []struct {
		name  string
		piece uint64
		looks int // at the context, one before each piece
	}{
		{"one piece", 10 * block, 0},
		{"a ring of two pieces is small", 5 * block, 0},
		{"four pieces, the last one smaller", 3 * block, 4},
		{"pieces smaller than a block", block / 2, 10},
	} {
		before := openFiles(t)
		ctx := &endsAfter{t.Context(), 1000}
		if err := prefault(ctx, c, row.piece); err != nil || 1000-ctx.looks != row.looks {
			t.Errorf("%s: %v, looked %d times at the context, want %d", row.name, err, 1000-ctx.looks, row.looks)
		}
		for looks := range row.looks {
			if err := prefault(&endsAfter{t.Context(), looks}, c, row.piece); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, given up at piece %d: %v, want %v", row.name, looks, err, context.Canceled)
			}
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files are open, were %d", row.name, after, before)
		}
	}
}

func TestPiecesOfALargeRing(t *testing.T) {
	for _, row := range []struct{ blockSize, numBlocks, want int }{
		{1 << 20, 6000, 64},
		{1 << 18, 65536, 256},
		{1 << 20, 65536, 128}, // 64 GiB
		{1 << 30, 20, 1},
	} {
		c := Config{BlockSize: row.blockSize, NumBlocks: row.numBlocks}
		if got := c.pieceBlocks(prefaultPiece); got != row.want {
			t.Errorf("%d blocks of %d bytes: pieces of %d blocks, want %d", row.numBlocks, row.blockSize, got, row.want)
		}
	}
}
