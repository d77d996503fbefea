package capture

import "tcp-stream-exporter/netif"

// watch makes the worker look at its interface as soon as some interface changes. It returns a function
// that ends the watch. Where changes cannot be watched, the worker still looks every second.
func (c *Capture) watch() (end func()) {
	w, err := netif.NewWatch()
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for w.Wait() == nil {
			c.look.Store(true)
			c.rouse()
		}
	}()
	return func() {
		_ = w.Close() // nothing depends on it any more
		<-done
	}
}
