package web

import (
	"errors"
	"net"
	"sync"
)

// merged accepts from several listeners.
type merged struct {
	listeners []net.Listener
	accepted  chan acceptance
	closed    chan struct{}
	close     sync.Once
}

// acceptance is what a listener's Accept returned.
type acceptance struct {
	conn net.Conn
	err  error
}

// Merge returns a listener that accepts from all of them, of which there is at least one. It takes a goroutine for each
// of several, and one descriptor for a connection that has come there.
func Merge(listeners []net.Listener) net.Listener {
	if len(listeners) == 1 {
		return listeners[0]
	}
	m := &merged{listeners: listeners, accepted: make(chan acceptance), closed: make(chan struct{})}
	for _, l := range listeners {
		go m.acceptFrom(l)
	}
	return m
}

func (m *merged) acceptFrom(l net.Listener) {
	for {
		c, err := l.Accept()
		select {
		case m.accepted <- acceptance{c, err}:
		case <-m.closed:
			if c != nil {
				_ = c.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Accept returns the next connection, or the next error, of any of the listeners.
func (m *merged) Accept() (net.Conn, error) {
	select {
	case a := <-m.accepted:
		return a.conn, a.err
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close closes all listeners.
func (m *merged) Close() error {
	m.close.Do(func() { close(m.closed) })
	var errs []error
	for _, l := range m.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Addr returns the address of the first one.
func (m *merged) Addr() net.Addr { return m.listeners[0].Addr() }
