package collector

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// output writes to one client. While the client takes its time to accept a piece, another scrape has
// the permit to work, so that slow clients do not keep others from being served. After each piece the
// scrape ends if the client has hung up.
type output struct {
	ctx     context.Context
	w       http.ResponseWriter
	work    semaphore
	bytes   prometheus.Counter // sent, of all scrapes
	working bool               // holds a permit
	begun   bool               // something was sent
	writing atomic.Int64       // when the client was given the piece that it is accepting, as sinceStart; 0: there is none
	cut     atomic.Bool        // the scrape has lost its place in the queue, and ends
}

// errCut is the error of a write by a scrape that has lost its place.
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

// WriteLast writes the last piece. If that is the first one too, the answer has a Content-Length.
func (o *output) WriteLast(p []byte) error {
	if !o.begun {
		o.w.Header().Set("Content-Length", strconv.Itoa(len(p)))
	}
	_, err := o.Write(p)
	return err
}

// resume waits for a permit to work.
func (o *output) resume() error {
	err := o.work.acquire(o.ctx)
	o.working = err == nil
	return err
}

// pause gives the permit back, if there is one.
func (o *output) pause() {
	if o.working {
		o.work.release()
		o.working = false
	}
}

// abort ends the write that is under way. It fails where there is no connection to have a deadline, as of
// a recorder in a test. The writer is valid: its scrape is in the queue until it ends.
func (o *output) abort() { _ = http.NewResponseController(o.w).SetWriteDeadline(time.Now()) }
