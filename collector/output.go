package collector

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// output is the way to one client. It gives up the scrape's place at work for as long as the
// client takes to accept a piece, so that slow clients do not keep others from being served. After
// each piece it looks whether the client has hung up.
type output struct {
	ctx     context.Context
	w       http.ResponseWriter
	working gate
	bytes   prometheus.Counter // sent, of all scrapes
	atWork  bool
	begun   bool         // something was sent
	writing atomic.Int64 // since when the client has been given a piece, as sinceStart; 0: it has none
	cut     atomic.Bool  // the scrape has lost its place in the queue, and ends
}

// errCut is of a write by a scrape that has lost its place.
var errCut = errors.New("the client stalled while another scrape waited")

func (o *output) Write(p []byte) (int, error) {
	o.begun = true
	o.pause()
	o.writing.Store(sinceStart())
	n, err := o.w.Write(p)
	o.writing.Store(0)
	o.bytes.Add(float64(n))
	if err != nil {
		return n, err
	}
	if o.cut.Load() {
		return n, errCut
	}
	return n, o.resume()
}

// WriteLast writes the last piece. If it is the first one too, the client is told its length.
func (o *output) WriteLast(p []byte) error {
	if !o.begun {
		o.w.Header().Set("Content-Length", strconv.Itoa(len(p)))
	}
	_, err := o.Write(p)
	return err
}

// resume waits for a place at work.
func (o *output) resume() error {
	err := o.working.enter(o.ctx)
	o.atWork = err == nil
	return err
}

// pause gives the place back; without one it does nothing.
func (o *output) pause() {
	if o.atWork {
		o.working.leave()
		o.atWork = false
	}
}
