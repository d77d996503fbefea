package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// Paths that a Handler answers.
const (
	StreamsPath = "/api/v1/streams"
	GroupsPath  = "/api/v1/groups"
	StatusPath  = "/api/v1/status"
)

// Source is the capture as a request for streams sees it.
type Source interface {
	// Each calls visit with every stream once, part by part, in p's memory, and returns the totals of the moment after
	// the last of them. It returns early with ctx's error when ctx ends.
	Each(ctx context.Context, p *worker.Parts, visit func(*worker.Snapshot)) (worker.Stats, error)
}

// Groups is the capture as a request for groups sees it.
type Groups interface {
	// Groups fills r, reusing its memory. It returns early with ctx's error when ctx ends.
	Groups(ctx context.Context, r *group.Reading) error
}

// Options say what there is to be shown. All functions may be called from any goroutine, those for one stream a million
// times for one request.
type Options struct {
	IPv6        bool // is accounted
	IPv6Metrics bool // the metrics by stream have it too
	ByVLAN      bool // streams are told apart by VLAN
	// InterfaceName returns the names of interfaces, as exposition.Streams wants it. Nil: streams are not told apart by
	// interface.
	InterfaceName func(index uint32) string
	// Group returns the name of the group that an address belongs to. Nil: no groups are configured.
	Group func(parse.Addr) string
	// Service returns the name of a stream's service. Nil: there are none.
	Service func(*stream.View) string

	// Totals returns the capture's totals as of a moment ago, for answers without streams. It returns at once.
	Totals func() worker.Stats
	// Groups is read for groups, whose names Member returns. Nil: none are counted. Histogram returns what is shown of a
	// histogram.
	Groups    Groups
	Member    func(group.Member) string
	Histogram func(*group.Histogram) Histogram

	// Status returns the status of the capture as JSON, with so many points of its history, 0 to StatusPoints. It returns
	// at once. Nil: there is none.
	Status       func(points int) []byte
	StatusPoints uint64
}

// Handler is the http.Handler for the paths of the API. Make it with New.
type Handler struct {
	source    Source
	options   Options
	admission admission

	// In the turn to read.
	parts  worker.Parts
	picker exposition.Picker
	groups group.Reading
}

// New returns a handler that shows the streams of source.
func New(source Source, o Options) *Handler {
	return &Handler{source: source, options: o, admission: newAdmission(), parts: worker.Parts{WithHidden: true}}
}

// badRequest is an error of the request itself.
type badRequest struct{ error }

// errNoGroups is the error of a request for groups where none are counted.
var errNoGroups = errors.New(GroupsPath + ": no groups are counted here: " + StreamsPath + " has the streams")

// ServeHTTP answers one request. It waits for its turn as long as the request's context lasts.
//
//   - 200: an object of JSON. HEAD is answered as GET is, without the body.
//   - 400: a parameter is unknown or has a value that it cannot have.
//   - 404: there is no such path, or nothing to show on it.
//   - 405: neither GET nor HEAD.
//   - 503: too many requests are under way, with Retry-After; or there is nothing to be read any more.
//
// What is not 200 is an object with one field, error: one line.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer func(ctx context.Context, query string) ([]byte, error)
	switch r.URL.Path {
	case StreamsPath:
		answer = h.streams
	case GroupsPath:
		answer = h.allGroups
	case StatusPath:
		answer = h.status
	default:
		fail(w, http.StatusNotFound, "not found: there are "+StreamsPath+", "+GroupsPath+" and "+StatusPath)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, r.URL.Path+" is read with GET or HEAD")
		return
	}
	// The status reads nothing that others wait for, and is wanted most when they do.
	if r.URL.Path != StatusPath {
		if err := h.admission.enter(); err != nil {
			refuse(w, err, 1)
			return
		}
		defer h.admission.leave()
	}
	body, err := answer(r.Context(), r.URL.RawQuery)
	switch {
	case errors.As(err, new(badRequest)):
		fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, errNoGroups), errors.Is(err, errNoStatus):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, errCrowded):
		refuse(w, err, 1)
	case errors.Is(err, errWindow):
		refuse(w, err, int(maxWindow/time.Second))
	case err != nil:
		fail(w, http.StatusServiceUnavailable, "no reading: "+err.Error())
	default:
		send(w, http.StatusOK, body)
	}
}

// refuse answers that a client should come back after so many seconds.
func refuse(w http.ResponseWriter, err error, seconds int) {
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	fail(w, http.StatusServiceUnavailable, err.Error())
}

// fail answers with a status and an object that says why.
func fail(w http.ResponseWriter, status int, line string) {
	body, _ := json.Marshal(map[string]string{"error": strings.ReplaceAll(line, "\n", "; ")}) // strings can always be written
	send(w, status, append(body, '\n'))
}

// send sends an answer. The server leaves the body out for HEAD. An error means that the client went away.
func send(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // the figures are of this moment
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// appendHead appends the beginning of an answer of what was read at a time.
func (h *Handler) appendHead(b []byte, at time.Time) []byte {
	b = append(b, `{"schema":`...)
	b = strconv.AppendUint(b, exposition.JSONSchema, 10)
	b = append(b, `,"timestamp_seconds":`...)
	return strconv.AppendFloat(b, float64(at.UnixMilli())/1e3, 'f', 3, 64)
}

// appendIPv6 appends whether IPv6 is among what was read, how many packets of it were not accounted, and how much of it
// the metrics by stream leave out.
func (h *Handler) appendIPv6(b []byte, s *worker.Stats) []byte {
	b = append(b, `,"ipv6_accounted":`...)
	b = strconv.AppendBool(b, h.options.IPv6)
	b = append(b, `,"ipv6_skipped_packets":`...)
	b = strconv.AppendUint(b, s.Skipped[parse.IPv6]-s.Hidden, 10)
	b = append(b, `,"ipv6_in_stream_metrics":`...)
	b = strconv.AppendBool(b, h.options.IPv6Metrics)
	b = append(b, `,"ipv6_hidden_packets":`...)
	b = strconv.AppendUint(b, s.Hidden, 10)
	b = append(b, `,"ipv6_hidden_streams":`...)
	return strconv.AppendInt(b, s.HiddenTally.Streams, 10)
}
