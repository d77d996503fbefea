package capture

import "tcp-stream-exporter/ring"

// watch has the worker look at its interface as soon as an interface changes. It returns what ends
// that, with the capture. Where the kernel tells nobody of changes, the worker looks every second.
func (c *Capture) watch() (end func()) {
	w, err := ring.NewWatch()
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
