package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
)

// Options choose what is exported. The zero value stands for no flags.
type Options struct {
	GoMetrics      bool // the Go runtime's own metrics, go_*
	ProcessMetrics bool // the exporter's CPU time, memory, file descriptors, process_*

	Families exposition.Families // of streams; nil: those that are exported by default
	Limits   exposition.Limits   // on the streams that are exported

	Groups        GroupSource               // nil: there are no families of groups
	GroupFamilies exposition.GroupFamilies  // nil: those that are exported by default
	GroupName     func(group.Member) string // labels of groups; called from several goroutines at once. May be nil.

	// InterfaceName returns the names of interfaces, as exposition.Streams wants it, for streams that are told apart
	// by them. It is called from several goroutines at once. May be nil.
	InterfaceName func(index uint32) string

	// Came returns when a request came to the server, which may be long before it came to the handler on a busy
	// processor. It is called from several goroutines at once. nil: when it came to the handler.
	Came func(*http.Request) time.Time

	// MaxWaiting bounds the scrapes that wait for a place; 0: 64. Of those without streams half as many may wait
	// besides.
	MaxWaiting int
}

// Handler is the http.Handler for /metrics, and has those for the two parts of it. Make it with New.
type Handler struct {
	source    Source
	groups    GroupSource // nil: none
	registry  *prometheus.Registry
	families  exposition.Families // of streams
	groupings exposition.GroupFamilies
	names     exposition.GroupNames
	limiter   *exposition.Limiter
	came      func(*http.Request) time.Time

	// A scrape without streams is short and small. It does not wait behind those with streams, each of which may copy
	// a million of them and hold the memory for it.
	streams, summaries lane

	durations durations
}

// New returns a handler that exports the streams and totals of source.
func New(source Source, o Options) *Handler {
	h := &Handler{
		source:    source,
		groups:    o.Groups,
		registry:  newRegistry(o),
		families:  o.Families,
		groupings: o.GroupFamilies,
		names:     exposition.GroupNames{Member: o.GroupName, Interface: o.InterfaceName},
		limiter:   exposition.NewLimiter(o.Limits),
		came:      o.Came,
		streams:   newLane(maxWorking, cmp.Or(o.MaxWaiting, maxWaiting)),
		summaries: newLane(maxSummarizing, max(1, cmp.Or(o.MaxWaiting, maxWaiting)/2)),
		durations: newDurations(),
	}
	if h.came == nil {
		h.came = func(*http.Request) time.Time { return time.Now() }
	}
	if h.families == nil {
		h.families = exposition.DefaultFamilies()
	}
	switch {
	case h.groups == nil:
		h.groupings = exposition.NoGroupFamilies
	case h.groupings == nil:
		h.groupings = exposition.DefaultGroupFamilies()
	}
	return h
}

// Registry returns the registry of what is exported beside the streams, for further collectors. A family
// in it must not bear a name of package exposition's.
func (h *Handler) Registry() *prometheus.Registry { return h.registry }

// formats are those that a scraper can ask for, by preference: OpenMetrics, whose two versions differ in
// nothing that is written here, and the text format. Who asks for something else gets text.
var formats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

// summaryFormats are those of an answer without families of streams. Protobuf is among them, the only one that has
// native histograms.
var summaryFormats = append(slices.Clip(formats), expfmt.FmtProtoDelim)

// part is a part of what is exported, which has a path of its own.
type part int

const (
	everything  part = iota
	summary          // all but the families of streams
	streamsOnly      // these alone
)

// Summary returns the handler for all but the families of streams, Streams that for these alone: what one of them
// answers is not in the other's answer. Both are as Handler is otherwise.
func (h *Handler) Summary() http.Handler { return h.handlerOf(summary) }

// Streams returns the handler for the families of streams: see Summary.
func (h *Handler) Streams() http.Handler { return h.handlerOf(streamsOnly) }

func (h *Handler) handlerOf(p part) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, p) })
}

// ServeHTTP answers one scrape. It waits for a place and for a permit to work as long as the request's
// context lasts, and ends early when the client hangs up. The parameters name[] of the query name the
// families that are wanted; without any, all are.
//
//   - 200: the text format, version 0.0.4, or OpenMetrics, or protobuf if no family of streams is selected; plain or
//     compressed, as the request accepts it. A HEAD request is answered after the snapshot, so that its status is
//     the one that GET would have had.
//   - 405: neither GET nor HEAD.
//   - 500: a registered collector failed.
//   - 503: no snapshot was to be had, or the request's context ended before the first byte. With
//     Retry-After, and at once: too many scrapes wait for a place.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, everything) }

// selection returns what a request asks for.
func (h *Handler) selection(r *http.Request, p part) exposition.Selection {
	s := h.families.Select(namesOf(r)).WithGroups(h.groupings)
	switch p {
	case summary:
		return s.WithoutStreams()
	case streamsOnly:
		return s.OnlyStreams()
	}
	return s
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, p part) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "metrics are read with GET or HEAD")
		return
	}
	ctx, begin := r.Context(), time.Now()
	selection := h.selection(r, p)
	lane, offered := &h.summaries, summaryFormats
	if selection.NeedStreams() {
		lane, offered = &h.streams, formats
	}
	out := output{ctx: ctx, w: w, work: lane.work, bytes: h.durations.bytes}
	if err := lane.queue.enter(ctx, &out, h.came(r)); errors.Is(err, errCrowded) {
		w.Header().Set("Retry-After", "1")    // seconds: by then those that stall have lost their places
		w.Header().Set("Connection", "close") // another client needs it more
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	} else if err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("gave up waiting behind %d other scrapes: %v", maxOpen, err))
		return
	}
	defer lane.queue.leave(&out)
	if err := out.resume(); err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("gave up waiting behind %d scrapes at work: %v", cap(lane.work), err))
		return
	}
	defer out.pause()
	s := lane.take()
	defer lane.put(s)

	format := expfmt.NegotiateAccept(r.Header, offered...)
	if r.Method == http.MethodHead {
		selection = selection.WithoutStreams()
	}
	content := &s.content
	content.Format, content.Selection = formatOf(format), selection
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
	var err error
	if format.FormatType() == expfmt.TypeProtoDelim {
		err = s.protobuf.write(to, content)
	} else {
		err = s.text.Write(to, content)
	}
	// The only error is that the client went away: there is nobody to report it to.
	if err == nil {
		observe(h.durations.scrapes, begin)
	}
}

// fill takes a snapshot of what s.content selects and a reading of the groups, and puts them there.
func (h *Handler) fill(ctx context.Context, s *scrape) error {
	c := &s.content
	s.snapshot.TotalsOnly, s.snapshot.WithExtras = !c.Selection.NeedStreams(), c.Selection.NeedExtras()
	begin := time.Now()
	if err := h.source.Snapshot(ctx, &s.snapshot); err != nil {
		return fmt.Errorf("no snapshot of the streams: %w", err)
	}
	observe(h.durations.snapshots, begin)
	c.Totals, c.Streams = totalsOf(&s.snapshot.Stats), streamsOf(&s.snapshot)
	c.Streams.InterfaceName = h.names.Interface
	if c.Selection.NeedStreams() {
		h.limiter.Apply(&c.Streams)
		s.snapshot.Keep(len(c.Streams.Views))
		h.durations.exported.Set(float64(len(c.Streams.Views))) // before the registry is gathered: this scrape shows it
	}
	if len(c.Selection.Groups()) > 0 {
		if err := h.groups.Groups(ctx, &s.reading); err != nil {
			return fmt.Errorf("no figures of the groups: %w", err)
		}
		s.combinations.Read(&s.reading, h.names)
		c.Groups = &s.combinations
	}
	return nil
}

// varies names the headers of a request that the answer depends on.
var varies = []string{"Accept", "Accept-Encoding"}

// fail answers with a status and one line of plain text.
func fail(w http.ResponseWriter, status int, line string) {
	http.Error(w, strings.ReplaceAll(line, "\n", "; "), status)
}

// scrape holds the memory that one scrape works with. Later ones use it again.
type scrape struct {
	snapshot   Snapshot
	reading    group.Reading
	registered encoder // families of the registry
	content    exposition.Content
	text       exposition.Writer
	protobuf   protobufWriter
	packer     packer

	combinations exposition.Combinations // of reading
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
