package capture

import "time"

// SinceTurn returns how long ago the worker last came by: about a second at most while it works, whether or not there
// are packets or an interface. It may be called from any goroutine, and takes no lock.
func (c *Capture) SinceTurn() time.Duration {
	mono, _ := c.clock()
	return time.Duration(mono - c.turned.Load())
}

// SinceTurn is Capture's of each worker.
func (w *Workers) SinceTurn() []time.Duration {
	all := make([]time.Duration, len(w.captures))
	for i, c := range w.captures {
		all[i] = c.SinceTurn()
	}
	return all
}
