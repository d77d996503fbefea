package e2e

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/internal/lab"
)

const (
	legsConnections = 40
	legsEchoes      = 15 // of each connection
	legsClient      = 10 * time.Millisecond
	legsServer      = 40 * time.Millisecond
	// legsError is how far a median may be off. A native bucket is 9 % wide: what lies within one may be taken for
	// 4.4 % more or less.
	legsError = 0.05

	// legsLate is how late the ends may answer on a busy machine, which the links do not see.
	legsLate = 4 * time.Millisecond

	legsAttempts = 3
)

// A round trip is split where the router is: of 10 ms on the clients' side and 40 ms on the server's, each side's median
// is within 5 % of what that link took, in handshakes and in the round trips of data, by the native buckets. On a busy
// machine the ends answer late, which is no fault of the figures: then all is measured again.
func TestGroupLegs(t *testing.T) {
	for attempt := 1; ; attempt++ {
		off := legsOff(t)
		if len(off) == 0 || t.Failed() {
			return
		}
		if attempt == legsAttempts {
			t.Fatalf("measured %d times:\n%s", attempt, strings.Join(off, "\n"))
		}
		t.Logf("measured again:\n%s", strings.Join(off, "\n"))
	}
}

// legsOff measures both legs and returns those whose median is off.
func legsOff(t *testing.T) (off []string) {
	t.Helper()
	r := lab.NewRouter(t, lab.RouterConfig{ClientDelay: legsClient, ServerDelay: legsServer})
	e := r.M.StartExporter(t, binary(t), append(routerGroups, "-interface", "tob")...)
	ln, err := r.B.Listen("tcp4", netip.AddrPortFrom(r.B.Addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var all sync.WaitGroup
	for range legsConnections {
		all.Go(func() {
			if c, err := ln.Accept(); err == nil {
				defer c.Close()
				_, _ = io.Copy(c, c) // the client sees an error
			}
		})
		all.Go(func() {
			c, err := r.A.Dial(t.Context(), "tcp4", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			b := make([]byte, 100)
			for range legsEchoes {
				_, err := c.Write(b)
				if err == nil {
					_, err = io.ReadFull(c, b)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		time.Sleep(20 * time.Millisecond) // apart, so that they do not wait for each other
	}
	all.Wait()
	m := e.Settle(t)
	nothingDropped(t, m)
	if n := m[homeToRemote.key("tcp_group_connections_established_total")]; n != legsConnections {
		t.Errorf("%v connections between the groups, want %v", n, legsConnections)
	}
	client, server := r.RoundTrips()
	families := protobuf(t, e, "/metrics/summary")
	for _, row := range []struct {
		family string
		least  uint64 // samples of each leg
	}{{"tcp_group_handshake_seconds", legsConnections * 9 / 10}, {"tcp_group_rtt_seconds", legsConnections * (legsEchoes - 2)}} {
		for leg, truth := range map[string]time.Duration{"client": client, "server": server} {
			h := histogramOf(families[row.family], homeToRemote, "leg", leg)
			if h == nil {
				t.Errorf("no histogram %s of leg %s", row.family, leg)
				continue
			}
			median, err := nativeMedian(h)
			far := median/truth.Seconds() - 1
			t.Logf("%s, %s: median %.2f ms of %d samples, mean %.2f ms; the link took %.2f ms (%+.1f %%)", row.family, leg, 1e3*median,
				h.GetSampleCount(), 1e3*h.GetSampleSum()/float64(h.GetSampleCount()), 1e3*truth.Seconds(), 100*far)
			if err != nil || h.GetSampleCount() < row.least {
				t.Errorf("%s, %s: %d samples, %v; want %d at least", row.family, leg, h.GetSampleCount(), err, row.least)
			}
			if !(math.Abs(far) <= legsError) && !(math.Abs(median-truth.Seconds()) <= legsLate.Seconds()) {
				off = append(off, fmt.Sprintf("%s, %s: median %v, want %v within %v", row.family, leg, median, truth.Seconds(), legsError))
			}
		}
	}
	return off
}

// protobuf returns the families of an answer in protobuf, which alone has native histograms, by name.
func protobuf(t *testing.T, e *lab.Exporter, path string) map[string]*dto.MetricFamily {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+lab.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", string(expfmt.FmtProtoDelim))
	resp, err := e.Get(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	format := expfmt.ResponseFormat(resp.Header)
	if resp.StatusCode != http.StatusOK || format.FormatType() != expfmt.TypeProtoDelim {
		t.Fatalf("%s: %s in %q, want protobuf", path, resp.Status, resp.Header.Get("Content-Type"))
	}
	families := make(map[string]*dto.MetricFamily)
	for d := expfmt.NewDecoder(resp.Body, format); ; {
		f := new(dto.MetricFamily)
		switch err := d.Decode(f); {
		case err == io.EOF:
			return families
		case err != nil:
			t.Fatal(err)
		}
		families[f.GetName()] = f
	}
}

// histogramOf returns the histogram of a combination with one more label, or nil.
func histogramOf(f *dto.MetricFamily, c combination, name, value string) *dto.Histogram {
	want := map[string]string{"client_group": c.client, "server_group": c.server, "service": c.service, name: value}
metrics:
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if v, there := want[l.GetName()]; there && v != l.GetValue() {
				continue metrics
			}
		}
		return m.GetHistogram()
	}
	return nil
}

// nativeMedian returns the median by the native buckets, as Prometheus' histogram_quantile does: exponentially between
// the bounds of the bucket that it is in.
func nativeMedian(h *dto.Histogram) (float64, error) {
	half, below := float64(h.GetSampleCount())/2, float64(h.GetZeroCount())
	if half == 0 || below >= half {
		return 0, fmt.Errorf("%v of %v samples are in the zero bucket", below, h.GetSampleCount())
	}
	factor := math.Exp2(math.Exp2(-float64(h.GetSchema())))
	index, count, next := int32(0), int64(0), 0
	for _, span := range h.GetPositiveSpan() {
		index += span.GetOffset()
		for range span.GetLength() {
			count += h.GetPositiveDelta()[next]
			next++
			if below+float64(count) >= half {
				return math.Pow(factor, float64(index-1)+(half-below)/float64(count)), nil
			}
			below += float64(count)
			index++
		}
	}
	return 0, fmt.Errorf("the buckets have %v of %d samples", below, h.GetSampleCount())
}
