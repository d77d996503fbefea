package capture

import (
	"context"

	"tcp-stream-exporter/group"
)

// Groups fills r with all combinations of groups. It returns ctx's error if that ends first, and ErrStopped once the
// capture has ended. Snapshots of other readers wait meanwhile, and it waits for them.
func (c *Capture) Groups(ctx context.Context, r *group.Reading) error {
	r.Reset()
	if err := c.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-c.turn }()
	for pos := 0; ; {
		r.Grow(c.worker.GroupRows()) // here, so that the worker allocates nothing
		q := c.post(request{pos: pos, groups: r})
		if err := c.filled(ctx, q); err != nil || !q.full {
			return err
		}
		pos = q.pos
	}
}

// SetGroups has connections counted by another list of groups. See worker.SetGroups. It may be called from any goroutine.
func (c *Capture) SetGroups(s *group.Set) {
	c.worker.SetGroups(s)
	c.rouse()
}

// Groups is Capture's, of all workers one after the other: rows of the same combination are summed up.
func (ws *Workers) Groups(ctx context.Context, r *group.Reading) error {
	for i, c := range ws.captures {
		if i == 0 {
			if err := c.Groups(ctx, r); err != nil {
				return err
			}
			continue
		}
		if err := c.Groups(ctx, r.More()); err != nil {
			return err
		}
		r.Merge()
	}
	return nil
}

// SetGroups is Capture's, of all workers.
func (ws *Workers) SetGroups(s *group.Set) {
	for _, c := range ws.captures {
		c.SetGroups(s)
	}
}
