package collector

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/capture"
)

const (
	// maxWorking is how many scrapes copy streams or render at the same time. Two let a pair of
	// Prometheus servers scrape side by side; more would take the CPU from the capture.
	maxWorking = 2
	// maxOpen is how many scrapes have begun and not ended, those that wait for a slow client
	// included. Each holds a snapshot of its own, 104 bytes a stream, which is what bounds the number.
	maxOpen = 4
)

// Options choose what is gathered besides the streams and the capture totals.
type Options struct {
	GoMetrics      bool // the Go runtime's own metrics, go_*
	ProcessMetrics bool // the exporter's CPU time, memory, file descriptors, process_*
}

// Handler is the http.Handler for /metrics. Make it with New.
type Handler struct {
	src      Source
	registry *prometheus.Registry
	formats  []expfmt.Format
	open     gate
	working  gate
	idle     chan *scrape // scrapes at rest, kept for their memory
	outputs  outputs

	durations durations
}

// New returns a handler that exports the streams and totals of src.
func New(src Source, o Options) *Handler {
	h := &Handler{
		src:      src,
		registry: prometheus.NewRegistry(),
		formats:  []expfmt.Format{expfmt.FmtText},
		open:     make(gate, maxOpen),
		working:  make(gate, maxWorking),
		idle:     make(chan *scrape, maxWorking),

		durations: newDurations(),
	}
	if o.GoMetrics {
		h.registry.MustRegister(collectors.NewGoCollector())
	}
	if o.ProcessMetrics {
		h.registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return h
}

// Registry takes further collectors, to be exported before the streams. A family in it must not
// bear the name of one that this package exports.
func (h *Handler) Registry() *prometheus.Registry { return h.registry }

// ServeHTTP answers one scrape. It waits for a place at work as long as the request's context
// lasts, and ends early when the client hangs up.
//
//   - 200: the text format, version 0.0.4. A HEAD request is answered after the snapshot, so that
//     its status is the one that GET would have had.
//   - 405: neither GET nor HEAD.
//   - 500: a registered collector failed.
//   - 503: no snapshot was to be had, or the request's context ended before the first byte.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "metrics are read with GET or HEAD")
		return
	}
	ctx, begin := r.Context(), time.Now()
	if err := h.enter(ctx); err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("gave up waiting behind %d other scrapes: %v", maxOpen, err))
		return
	}
	defer h.open.leave()
	out := output{ctx: ctx, w: w, working: h.working, bytes: h.durations.bytes}
	h.outputs.add(&out)
	defer h.outputs.remove(&out)
	if err := out.resume(); err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("gave up waiting behind %d scrapes at work: %v", maxWorking, err))
		return
	}
	defer out.pause()
	s := h.take()
	defer h.put(s)

	copying := time.Now()
	if err := h.src.Snapshot(ctx, &s.snapshot); err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("no snapshot of the streams: %v", err))
		return
	}
	observe(h.durations.snapshots, copying)
	s.figures = figures{stats: s.snapshot.Stats}
	format := expfmt.NegotiateAccept(r.Header, h.formats...)
	if err := s.gather(h.registry, format); err != nil {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("gathering: %v", err))
		return
	}
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Vary", "Accept")
	if r.Method == http.MethodHead {
		return
	}
	// The only error is that the client went away; there is nobody left to tell.
	if s.text.write(&out, s.head.Bytes(), &s.snapshot) == nil {
		observe(h.durations.scrapes, begin)
	}
}

// take returns a scrape at rest, or a new one.
func (h *Handler) take() *scrape {
	select {
	case s := <-h.idle:
		return s
	default:
		return newScrape()
	}
}

// put keeps s for the next scrape, unless enough are at rest.
func (h *Handler) put(s *scrape) {
	s.snapshot.Release()
	select {
	case h.idle <- s:
	default:
		_ = s.snapshot.Close() // unmapping what was mapped cannot fail
	}
}

// fail answers with one line of plain text.
func fail(w http.ResponseWriter, status int, line string) {
	http.Error(w, strings.ReplaceAll(line, "\n", "; "), status)
}

// scrape is what one scrape works with, reused by later ones.
type scrape struct {
	snapshot capture.Snapshot
	figures  figures
	own      *prometheus.Registry // figures alone
	head     bytes.Buffer         // the registries' part of the answer
	text     textWriter
}

func newScrape() *scrape {
	s := &scrape{own: prometheus.NewRegistry()}
	s.own.MustRegister(&s.figures)
	return s
}

// gather encodes the families without stream labels into s.head.
func (s *scrape) gather(shared prometheus.Gatherer, format expfmt.Format) error {
	s.head.Reset()
	families, err := prometheus.Gatherers{s.own, shared}.Gather()
	if err != nil {
		return err
	}
	enc := expfmt.NewEncoder(&s.head, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return fmt.Errorf("encoding %s: %w", f.GetName(), err)
		}
	}
	return nil
}

// output is the way to one client. It gives up the scrape's place at work for as long as the
// client takes to accept a piece, so that slow clients do not keep others from being served. After
// each piece it looks whether the client has hung up.
type output struct {
	ctx     context.Context
	w       http.ResponseWriter
	working gate
	bytes   prometheus.Counter // sent, of all scrapes
	atWork  bool
	writing atomic.Int64 // since when the client has been given a piece, as sinceStart; 0: it has none
}

func (o *output) Write(p []byte) (int, error) {
	o.pause()
	o.writing.Store(sinceStart())
	n, err := o.w.Write(p)
	o.writing.Store(0)
	o.bytes.Add(float64(n))
	if err != nil {
		return n, err
	}
	return n, o.resume()
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
