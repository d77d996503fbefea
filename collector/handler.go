package collector

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/worker"
)

const (
	// maxWorking is how many scrapes copy streams or render at the same time. Two let a pair of
	// Prometheus servers scrape side by side; more would take the CPU from the capture.
	maxWorking = 2
	// maxOpen is how many scrapes have a place: they have begun and not ended, those that wait for a slow
	// client included. Each holds a snapshot of its own, 104 bytes a stream, which is what bounds the number.
	maxOpen = 4
)

// Options choose what is exported. The zero value is what the exporter does without flags.
type Options struct {
	GoMetrics      bool // the Go runtime's own metrics, go_*
	ProcessMetrics bool // the exporter's CPU time, memory, file descriptors, process_*

	Families Families // per stream; nil: those that are exported by default
	Limits   Limits   // on the streams that are exported

	MaxWaiting int // scrapes that wait for their turn, at most; 0: 64
}

// Handler is the http.Handler for /metrics. Make it with New.
type Handler struct {
	src      Source
	registry *prometheus.Registry
	families Families // per stream
	limits   Limits
	ranking  ranking
	queue    *queue
	working  gate
	idle     chan *scrape // scrapes at rest, kept for their memory

	durations durations
}

// New returns a handler that exports the streams and totals of src.
func New(src Source, o Options) *Handler {
	h := &Handler{
		src:      src,
		registry: prometheus.NewRegistry(),
		families: o.Families,
		limits:   o.Limits,
		ranking:  newRanking(o.Limits.Top),
		queue:    newQueue(maxOpen, cmp.Or(o.MaxWaiting, maxWaiting)),
		working:  make(gate, maxWorking),
		idle:     make(chan *scrape, maxWorking),

		durations: newDurations(),
	}
	if h.families == nil {
		h.families = streamFamilies
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

// formats are those that a scraper can ask for, by preference: OpenMetrics (its two versions differ in
// nothing that is written here) and the text format. Whoever asks for something else gets text.
var formats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

// ServeHTTP answers one scrape. It waits for a place at work as long as the request's context
// lasts, and ends early when the client hangs up. The parameters name[] of the query name the
// families that are wanted; without any, all are.
//
//   - 200: the text format, version 0.0.4, or OpenMetrics, plain or compressed, as the request accepts
//     it. A HEAD request is answered after the snapshot, so that its status is the one that GET would
//     have had.
//   - 405: neither GET nor HEAD.
//   - 500: a registered collector failed.
//   - 503: no snapshot was to be had, or the request's context ended before the first byte. With
//     Retry-After, and at once: too many scrapes wait for their turn.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "metrics are read with GET or HEAD")
		return
	}
	ctx, begin := r.Context(), time.Now()
	out := output{ctx: ctx, w: w, working: h.working, bytes: h.durations.bytes}
	if err := h.queue.enter(ctx, &out); errors.Is(err, errCrowded) {
		w.Header().Set("Retry-After", "1")    // seconds: by then those that stall have lost their places
		w.Header().Set("Connection", "close") // another client needs it more
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	} else if err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("gave up waiting behind %d other scrapes: %v", maxOpen, err))
		return
	}
	defer h.queue.leave(&out)
	if err := out.resume(); err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("gave up waiting behind %d scrapes at work: %v", maxWorking, err))
		return
	}
	defer out.pause()
	s := h.take()
	defer h.put(s)

	format := expfmt.NegotiateAccept(r.Header, formats...)
	wanted := namesOf(r)
	as := shapeOf(format, h.families, wanted)
	if r.Method == http.MethodHead {
		as.families = nil
	}
	if err := h.snapshot(ctx, s, as); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if err := s.gather(h.registry, format, wanted); err != nil {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("gathering: %v", err))
		return
	}
	coding := chooseEncoding(r.Header)
	header := w.Header()
	header["Vary"] = varies
	header.Set("Content-Type", string(format))
	if coding != noCoding {
		header.Set("Content-Encoding", coding)
	}
	if r.Method == http.MethodHead {
		return
	}
	var to lastWriter = &out
	if coding != noCoding {
		s.packer.begin(&out, coding)
		defer s.packer.end()
		to = &s.packer
	}
	// The only error is that the client went away; there is nobody left to tell.
	if s.text.write(to, s.head.Bytes(), &s.snapshot, as) == nil {
		observe(h.durations.scrapes, begin)
	}
}

// snapshot takes a snapshot of what is written in the given shape.
func (h *Handler) snapshot(ctx context.Context, s *scrape, as shape) error {
	s.snapshot.TotalsOnly, s.snapshot.WithExtras = len(as.families) == 0, as.extras()
	begin := time.Now()
	if err := h.src.Snapshot(ctx, &s.snapshot); err != nil {
		return fmt.Errorf("no snapshot of the streams: %w", err)
	}
	observe(h.durations.snapshots, begin)
	s.figures = figures{stats: s.snapshot.Stats}
	if len(as.families) > 0 {
		h.limit(&s.snapshot)
	}
	return nil
}

// varies are the headers of a request that the answer depends on.
var varies = []string{"Accept", "Accept-Encoding"}

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
	snapshot worker.Snapshot
	figures  figures
	own      *prometheus.Registry // figures alone
	head     bytes.Buffer         // the registries' part of the answer
	text     textWriter
	packer   packer
}

func newScrape() *scrape {
	s := &scrape{own: prometheus.NewRegistry()}
	s.own.MustRegister(&s.figures)
	return s
}

// gather encodes the families without stream labels into s.head: all, or those with the wanted names.
func (s *scrape) gather(shared prometheus.Gatherer, format expfmt.Format, wanted []string) error {
	s.head.Reset()
	families, err := prometheus.Gatherers{s.own, shared}.Gather()
	if err != nil {
		return err
	}
	// Not closed: what an OpenMetrics text ends with comes after the streams.
	enc := expfmt.NewEncoder(&s.head, format)
	for _, f := range families {
		if len(wanted) > 0 && !slices.Contains(wanted, f.GetName()) {
			continue
		}
		if err := enc.Encode(f); err != nil {
			return fmt.Errorf("encoding %s: %w", f.GetName(), err)
		}
	}
	return nil
}
