package api

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// families are those of a row: all that a View has. The names are constants, for which there is no error.
var families, _ = exposition.ChooseFamilies("default,tcp_packets_total", "")

// reading is what a walk over all streams came to.
type reading struct {
	stats   worker.Stats
	at      time.Time // when it ended
	matched uint64
}

// each calls visit with all streams that q selects, in the caller's turn to read.
func (h *Handler) each(ctx context.Context, q *query, visit func(v *stream.View, wide []stream.Ends)) (r reading, err error) {
	s := exposition.Streams{InterfaceName: h.options.InterfaceName}
	r.stats, err = h.source.Each(ctx, &h.parts, func(part *worker.Snapshot) {
		s.Wide = part.Wide
		for i := range part.Views {
			if v := &part.Views[i]; q.matches(&s, v, &h.options) {
				r.matched++
				visit(v, part.Wide)
			}
		}
	})
	r.at = time.Now()
	return r, err
}

// streams answers a request for streams.
func (h *Handler) streams(ctx context.Context, raw string) ([]byte, error) {
	q, err := h.options.parseQuery(raw)
	if err != nil {
		return nil, badRequest{err}
	}
	var w *window
	if q.window != 0 {
		select {
		case h.admission.window <- struct{}{}:
			defer func() { <-h.admission.window }()
		default:
			return nil, errWindow
		}
		if w, err = h.beginWindow(ctx, &q); err != nil {
			return nil, err
		}
		if err := w.wait(ctx, q.window); err != nil {
			return nil, err
		}
	}
	if err := h.admission.acquire(ctx); err != nil {
		return nil, err
	}
	defer h.admission.release()
	h.picker.Begin(q.limit)
	r, err := h.each(ctx, &q, func(v *stream.View, wide []stream.Ends) {
		score := uint64(0)
		if w != nil {
			score = w.increase(v, wide)
		} else {
			score = q.by.Score(v)
		}
		h.picker.Offer(score, v, wide)
	})
	if err != nil {
		return nil, err
	}
	return h.appendStreams(nil, &q, w, &r), nil
}

// beginWindow takes the reading that a window begins with.
func (h *Handler) beginWindow(ctx context.Context, q *query) (*window, error) {
	if err := h.admission.acquire(ctx); err != nil {
		return nil, err
	}
	defer h.admission.release()
	w := newWindow(q.by)
	r, err := h.each(ctx, q, w.note)
	w.began = r.at
	return w, err
}

// appendStreams appends the answer: what all rows have in common, and the rows.
func (h *Handler) appendStreams(b []byte, q *query, w *window, r *reading) []byte {
	rows, scores := h.picker.Picked()
	rows.InterfaceName = h.options.InterfaceName
	b = h.appendHead(b, r.at)
	b = append(b, `,"sort":"`...)
	b = append(b, q.sort...)
	b = append(b, '"')
	if w != nil {
		b = append(b, `,"window_seconds":`...)
		b = appendSeconds(b, r.at.Sub(w.began))
	}
	b = append(b, `,"streams_in_table":`...)
	b = strconv.AppendInt(b, r.stats.Streams+r.stats.HiddenTally.Streams, 10)
	b = append(b, `,"streams_matched":`...)
	b = strconv.AppendUint(b, r.matched, 10)
	b = h.appendIPv6(b, &r.stats)
	b = append(b, `,"streams":[`...)
	for i := range rows.Views {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n{"...)
		b = h.appendLabels(families.AppendObject(b, rows, i), rows, i)
		if w != nil {
			b = append(b, `,"window_increase":`...)
			b = strconv.AppendUint(b, scores[i], 10)
		}
		b = append(b, '}')
	}
	return append(b, "\n]}\n"...)
}

// appendLabels appends the groups and the service of stream i, where there are any.
func (h *Handler) appendLabels(b []byte, s *exposition.Streams, i int) []byte {
	v := &s.Views[i]
	if group := h.options.Group; group != nil {
		e := v.Ends(s.Wide)
		b = appendString(append(b, `,"src_group":`...), group(e.Src))
		b = appendString(append(b, `,"dst_group":`...), group(e.Dst))
	}
	if service := h.options.Service; service != nil {
		b = appendString(append(b, `,"service":`...), service(v))
	}
	return b
}

// appendString appends a string of any bytes as JSON writes it.
func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string can always be written
	return append(b, text...)
}

// appendSeconds appends a time to the millisecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Round(time.Millisecond).Seconds(), 'f', -1, 64)
}
