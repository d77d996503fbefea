package collector

import (
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tcp-stream-exporter/exposition"
)

// protobufWriter writes what a content has beside streams as MetricFamily messages of client_model, each with its
// length before it (Prometheus' protobuf format, encoding=delimited). Its memory is kept from scrape to scrape; one
// goroutine at a time.
//
// A family of groups may have megabytes, and client_model's objects for it several times that. So there is one
// Metric at a time: the length of a message is the sum of its fields', and a message is its fields one after the
// other (protobuf's encoding guide). Each Metric is made twice for that, once for its length and once to be sent.
type protobufWriter struct {
	buf    []byte // the piece being filled
	metric dto.Metric
	series groupMetric
}

// metricField is the number of the field with the metrics of a family.
var metricField = (*dto.MetricFamily)(nil).ProtoReflect().Descriptor().Fields().ByName("metric").Number()

// typesOf are client_model's types of families.
var typesOf = map[exposition.Type]dto.MetricType{
	counter: dto.MetricType_COUNTER, gauge: dto.MetricType_GAUGE, histogram: dto.MetricType_HISTOGRAM,
}

// write writes c, whose Others are encoded already, to w, in pieces of about exposition.PieceSize. It stops at the
// first error.
func (p *protobufWriter) write(w exposition.LastWriter, c *exposition.Content) error {
	p.buf = p.buf[:0]
	var err error
	c.Totals.Each(func(h *exposition.Header, x float64) {
		if err == nil && c.Selection.Includes(h.Name) {
			err = p.appendTotal(h, x)
		}
	})
	if err != nil {
		return err
	}
	for i := range c.Others {
		p.buf = append(p.buf, c.Others[i].Lines...)
	}
	if c.Groups != nil {
		families := c.Selection.Groups()
		for i := range families {
			if err := p.writeGroups(w, &families[i], c.Groups); err != nil {
				return err
			}
		}
	}
	return w.WriteLast(p.buf)
}

// appendTotal appends a family without labels.
func (p *protobufWriter) appendTotal(h *exposition.Header, x float64) error {
	f := headOf(h)
	m := &dto.Metric{Gauge: &dto.Gauge{Value: &x}}
	if h.Type == counter {
		m = &dto.Metric{Counter: &dto.Counter{Value: &x}}
	}
	f.Metric = []*dto.Metric{m}
	p.buf = protowire.AppendVarint(p.buf, uint64(proto.Size(f)))
	var err error
	p.buf, err = proto.MarshalOptions{}.MarshalAppend(p.buf, f)
	return err
}

// headOf returns a family without metrics.
func headOf(h *exposition.Header) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &h.Name, Help: &h.Help, Type: typesOf[h.Type].Enum()}
}

// writeGroups writes a family of groups.
func (p *protobufWriter) writeGroups(w exposition.LastWriter, f *exposition.GroupFamily, c *exposition.Combinations) (err error) {
	head, series := headOf(&f.Header), 0
	length := proto.Size(head)
	tag := protowire.SizeTag(metricField)
	each := func(yield func(*dto.Metric) error) {
		c.Series(f, func(s *exposition.GroupSeries) bool {
			p.series.family, p.series.series = f, s
			if err = p.series.Write(&p.metric); err == nil {
				err = yield(&p.metric)
			}
			return err == nil
		})
	}
	each(func(m *dto.Metric) error {
		series++
		length += tag + protowire.SizeBytes(proto.Size(m))
		return nil
	})
	if err != nil || series == 0 {
		return err
	}
	p.buf = protowire.AppendVarint(p.buf, uint64(length))
	if p.buf, err = (proto.MarshalOptions{}).MarshalAppend(p.buf, head); err != nil {
		return err
	}
	each(func(m *dto.Metric) error {
		p.buf = protowire.AppendTag(p.buf, metricField, protowire.BytesType)
		p.buf = protowire.AppendVarint(p.buf, uint64(proto.Size(m)))
		if p.buf, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(p.buf, m); err != nil {
			return err
		}
		if len(p.buf) < exposition.PieceSize {
			return nil
		}
		_, err := w.Write(p.buf)
		p.buf = p.buf[:0]
		return err
	})
	return err
}
