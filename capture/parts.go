package capture

import (
	"context"

	"tcp-stream-exporter/worker"
)

// Each calls visit with every stream once, part by part, and returns the totals of the moment after the last of them. A
// part is valid until visit returns; meanwhile the worker fills the other one. It returns ctx's error if that ends first,
// and ErrStopped once the capture has ended. Other readers wait until the last part has been visited.
func (ws *Workers) Each(ctx context.Context, p *worker.Parts, visit func(*worker.Snapshot)) (worker.Stats, error) {
	var all worker.Stats
	for i, c := range ws.captures {
		s, err := c.each(ctx, p, visit)
		if err != nil {
			return worker.Stats{}, err
		}
		all.Add(&s, i == 0)
	}
	return all, nil
}

// each is Each for one worker.
func (c *Capture) each(ctx context.Context, p *worker.Parts, visit func(*worker.Snapshot)) (worker.Stats, error) {
	if err := c.takeTurn(ctx); err != nil {
		return worker.Stats{}, err
	}
	defer func() { <-c.turn }()
	part, err := p.Next()
	if err != nil {
		return worker.Stats{}, err
	}
	for q := c.post(request{into: part, part: true}); ; {
		if err := c.filled(ctx, q); err != nil {
			return worker.Stats{}, err
		}
		full := q
		if !full.all {
			if part, err = p.Next(); err != nil {
				return worker.Stats{}, err
			}
			q = c.post(request{pos: full.pos, into: part, part: true})
		}
		visit(full.into)
		if full.all {
			return full.into.Stats, nil
		}
	}
}
