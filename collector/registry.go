package collector

import (
	"bytes"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/exposition"
)

// newRegistry returns a registry with the collectors of the Go runtime and of the process that o asks for.
func newRegistry(o Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	if o.GoMetrics {
		r.MustRegister(collectors.NewGoCollector())
	}
	if o.ProcessMetrics {
		r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return r
}

// Runtime returns the families of the Go runtime and of the process that o asks for, in the text format:
// for a program that serves no HTTP.
func Runtime(o Options) ([]exposition.Encoded, error) {
	var e encoder
	err := e.encode(newRegistry(o), expfmt.FmtText, exposition.Selection{})
	return e.families, err
}

// encoder encodes the families of a registry. The zero value is ready; its memory is kept from scrape to
// scrape. One goroutine at a time.
type encoder struct {
	text     bytes.Buffer
	ends     []int // ends[i] is where families[i] ends in text
	families []exposition.Encoded
}

// encode sets e.families to the families of a registry that are selected, by name.
func (e *encoder) encode(from prometheus.Gatherer, format expfmt.Format, selection exposition.Selection) error {
	e.text.Reset()
	e.ends, e.families = e.ends[:0], e.families[:0]
	all, err := from.Gather()
	if err != nil {
		return fmt.Errorf("gathering: %w", err)
	}
	// Not closed: what an OpenMetrics text ends with comes after the streams.
	enc := expfmt.NewEncoder(&e.text, format)
	for _, f := range all {
		if !selection.Includes(f.GetName()) {
			continue
		}
		f.Unit = nil // no UNIT lines, which OpenMetrics may have: the families of streams have none either
		if err := enc.Encode(f); err != nil {
			return fmt.Errorf("gathering: encoding %s: %w", f.GetName(), err)
		}
		e.ends, e.families = append(e.ends, e.text.Len()), append(e.families, exposition.Encoded{Name: f.GetName()})
	}
	begin, text := 0, e.text.Bytes()
	for i, end := range e.ends {
		e.families[i].Lines, begin = text[begin:end], end
	}
	return nil
}
