package collector

import "context"

// gate lets as many callers in at once as its capacity says. Callers that wait are let in in the
// order in which they came.
type gate chan struct{}

// enter waits for a place; it gives up with ctx's error when ctx ends first.
func (g gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err // with a free place and an ended context, select would choose by chance
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave gives back the place that enter took.
func (g gate) leave() { <-g }
