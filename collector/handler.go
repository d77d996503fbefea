package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/exposition"
)

// Options choose what is exported. The zero value stands for no flags.
type Options struct {
	GoMetrics      bool // the Go runtime's own metrics, go_*
	ProcessMetrics bool // the exporter's CPU time, memory, file descriptors, process_*

	Families exposition.Families // of streams; nil: those that are exported by default
	Limits   exposition.Limits   // on the streams that are exported

	// InterfaceName returns the names of interfaces, as exposition.Streams wants it, for streams that are told apart
	// by them. It is called from several goroutines at once. May be nil.
	InterfaceName func(index uint32) string

	MaxWaiting int // scrapes that wait for a place, at most; 0: 64
}

// Handler is the http.Handler for /metrics. Make it with New.
type Handler struct {
	source   Source
	registry *prometheus.Registry
	families exposition.Families // of streams
	names    func(index uint32) string
	limiter  *exposition.Limiter
	queue    *queue
	work     semaphore
	idle     chan *scrape // scrapes that are over, kept for their memory

	durations durations
}

// New returns a handler that exports the streams and totals of source.
func New(source Source, o Options) *Handler {
	h := &Handler{
		source:   source,
		registry: newRegistry(o),
		families: o.Families,
		names:    o.InterfaceName,
		limiter:  exposition.NewLimiter(o.Limits),
		queue:    newQueue(maxOpen, cmp.Or(o.MaxWaiting, maxWaiting)),
		work:     make(semaphore, maxWorking),
		idle:     make(chan *scrape, maxWorking),

		durations: newDurations(),
	}
	if h.families == nil {
		h.families = exposition.DefaultFamilies()
	}
	return h
}

// Registry returns the registry of what is exported beside the streams, for further collectors. A family
// in it must not bear a name of package exposition's.
func (h *Handler) Registry() *prometheus.Registry { return h.registry }

// formats are those that a scraper can ask for, by preference: OpenMetrics, whose two versions differ in
// nothing that is written here, and the text format. Who asks for something else gets text.
var formats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

// ServeHTTP answers one scrape. It waits for a place and for a permit to work as long as the request's
// context lasts, and ends early when the client hangs up. The parameters name[] of the query name the
// families that are wanted; without any, all are.
//
//   - 200: the text format, version 0.0.4, or OpenMetrics, plain or compressed, as the request accepts
//     it. A HEAD request is answered after the snapshot, so that its status is the one that GET would
//     have had.
//   - 405: neither GET nor HEAD.
//   - 500: a registered collector failed.
//   - 503: no snapshot was to be had, or the request's context ended before the first byte. With
//     Retry-After, and at once: too many scrapes wait for a place.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "metrics are read with GET or HEAD")
		return
	}
	ctx, begin := r.Context(), time.Now()
	out := output{ctx: ctx, w: w, work: h.work, bytes: h.durations.bytes}
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
	families := h.families
	if r.Method == http.MethodHead {
		families = exposition.NoFamilies
	}
	content := &s.content
	content.Format, content.Selection = formatOf(format), families.Select(namesOf(r))
	if err := h.fill(ctx, s); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if err := s.registered.encode(h.registry, format, content.Selection); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	content.Others = s.registered.families
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
	var to exposition.LastWriter = &out
	if coding != noCoding {
		s.packer.begin(&out, coding)
		defer s.packer.end()
		to = &s.packer
	}
	// The only error is that the client went away: there is nobody to report it to.
	if s.text.Write(to, content) == nil {
		observe(h.durations.scrapes, begin)
	}
}

// fill takes a snapshot of what s.content selects, and puts it there.
func (h *Handler) fill(ctx context.Context, s *scrape) error {
	c := &s.content
	s.snapshot.TotalsOnly, s.snapshot.WithExtras = !c.Selection.NeedStreams(), c.Selection.NeedExtras()
	begin := time.Now()
	if err := h.source.Snapshot(ctx, &s.snapshot); err != nil {
		return fmt.Errorf("no snapshot of the streams: %w", err)
	}
	observe(h.durations.snapshots, begin)
	c.Totals, c.Streams = totalsOf(&s.snapshot.Stats), streamsOf(&s.snapshot)
	c.Streams.InterfaceName = h.names
	if c.Selection.NeedStreams() {
		h.limiter.Apply(&c.Streams)
		s.snapshot.Keep(len(c.Streams.Views))
		h.durations.exported.Set(float64(len(c.Streams.Views))) // before the registry is gathered: this scrape shows it
	}
	return nil
}

// varies names the headers of a request that the answer depends on.
var varies = []string{"Accept", "Accept-Encoding"}

// take returns a scrape that is over, to be used again, or a new one.
func (h *Handler) take() *scrape {
	select {
	case s := <-h.idle:
		return s
	default:
		return new(scrape)
	}
}

// put keeps s for a later scrape, unless enough are kept.
func (h *Handler) put(s *scrape) {
	s.snapshot.Release()
	s.content = exposition.Content{} // it refers to the snapshot's memory
	select {
	case h.idle <- s:
	default:
		_ = s.snapshot.Close() // unmapping what was mapped cannot fail
	}
}

// fail answers with a status and one line of plain text.
func fail(w http.ResponseWriter, status int, line string) {
	http.Error(w, strings.ReplaceAll(line, "\n", "; "), status)
}

// scrape holds the memory that one scrape works with. Later ones use it again.
type scrape struct {
	snapshot   Snapshot
	registered encoder // families of the registry
	content    exposition.Content
	text       exposition.Writer
	packer     packer
}

// formatOf returns the format of the streams beside what client_golang encodes in f.
func formatOf(f expfmt.Format) exposition.Format {
	if f.FormatType() == expfmt.TypeOpenMetrics {
		return exposition.OpenMetrics
	}
	return exposition.Text
}

// namesOf returns the names of the families that a request asks for; nil: all.
func namesOf(r *http.Request) []string {
	if r.URL.RawQuery == "" {
		return nil
	}
	return r.URL.Query()["name[]"]
}
