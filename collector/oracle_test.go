package collector

import (
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/promhttp/zstd" // what promhttp compresses with
	"github.com/prometheus/common/expfmt"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// oracle is the slow, obvious way to export the same views: one client_golang metric object for
// each value, by the contract and not by the writer's table.
type oracle []shown

func (oracle) Describe(chan<- *prometheus.Desc) {}

func (o oracle) Collect(ch chan<- prometheus.Metric) {
	names := []string{"dst_ip", "dst_port", "src_ip", "src_port", "state"}
	for _, c := range contract {
		if !c.perStream {
			continue
		}
		desc := prometheus.NewDesc(c.name, "By client_golang.", names, nil)
		kind := prometheus.GaugeValue
		if c.kind == "counter" {
			kind = prometheus.CounterValue
		}
		for i := range o {
			v := &o[i]
			if need := presence[c.present]; v.Has&need != need {
				continue
			}
			state := "active"
			if v.Finalized {
				state = "finalized"
			}
			ch <- prometheus.MustNewConstMetric(desc, kind, c.value(&v.View), v.Dst.Netip().String(), strconv.Itoa(int(v.DstPort)),
				v.Src.Netip().String(), strconv.Itoa(int(v.SrcPort)), state)
		}
	}
}

// handler is the promhttp handler of the oracle.
func (o oracle) handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(o)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{AcceptedFormats: []expfmt.Format{
		expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText,
	}})
}

func TestSameAsClientGolang(t *testing.T) {
	for seed := range uint64(5) {
		views := randomViews(rand.New(rand.NewPCG(seed, 1)), 200)
		theirs := oracle(views).handler()
		for contentType, as := range map[string]shape{textType: plain, openType: open} {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept", contentType)
			w := httptest.NewRecorder()
			theirs.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, contentType) {
				t.Fatalf("client_golang answers %q", got)
			}
			want := parseAs(t, w.Body.Bytes(), contentType)
			got := parseAs(t, renderAs(t, views, as), contentType)
			sameSeries(t, got.values, want.values)
			for name, kind := range want.types {
				if got.types[name] != kind {
					t.Errorf("%s: %s has type %q, client_golang says %q", contentType, name, got.types[name], kind)
				}
			}
			if len(got.types) != len(want.types) {
				t.Errorf("%s: %d families, client_golang writes %d", contentType, len(got.types), len(want.types))
			}
		}
	}
}

// accepts are what clients ask for.
var accepts = map[string]string{
	"a client without Accept": "",
	"curl":                    "*/*",
	"plain text":              "text/plain",
	"text 0.0.4":              "text/plain;version=0.0.4",
	"text 1.0.0":              "text/plain;version=1.0.0",
	"OpenMetrics":             "application/openmetrics-text",
	"OpenMetrics 1.0.0":       "application/openmetrics-text; version=1.0.0; charset=utf-8",
	"OpenMetrics 0.0.1":       "application/openmetrics-text;version=0.0.1",
	"OpenMetrics 2.0.0":       "application/openmetrics-text;version=2.0.0",
	"Prometheus 2.42":         "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	"Prometheus 3":            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
	"Prometheus 3, old names": "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
	"protobuf first":          "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1",
	"protobuf alone":          "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
	"text with UTF-8 names":   "text/plain;version=0.0.4;escaping=allow-utf-8",
	"a browser":               "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"nonsense":                ";;q=x,/",
}

// Content-Type, Vary and Content-Encoding have to be what promhttp answers with the same formats.
func TestHeadersAsPromhttp(t *testing.T) {
	ours, theirs := New(&fakeSource{}, Options{}), oracle(nil).handler()
	for name, accept := range accepts {
		for _, encoding := range []string{"", "gzip", "identity", "zstd", "zstd,gzip", "gzip;q=0.5,zstd;q=0.9", "br", "*;q=0", "gzip;q=0"} {
			r := httptest.NewRequest("GET", "/metrics", nil)
			if accept != "" {
				r.Header.Set("Accept", accept)
			}
			if encoding != "" {
				r.Header.Set("Accept-Encoding", encoding)
			}
			got, want := httptest.NewRecorder(), httptest.NewRecorder()
			ours.ServeHTTP(got, r)
			theirs.ServeHTTP(want, r)
			for _, h := range []string{"Content-Type", "Vary", "Content-Encoding"} {
				if g, w := got.Header()[h], want.Header()[h]; !slices.Equal(g, w) || h == "Content-Type" && len(w) == 0 {
					t.Errorf("%s, Accept-Encoding %q: %s is %q, promhttp sends %q", name, encoding, h, g, w)
				}
			}
		}
	}
}

func TestAnyFloatAndAnyAddress(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		check(t, [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}, r.Uint32(), r.Uint64(), r.Uint32(), uint8(r.Uint32()))
	}
}

// FuzzText holds the writer, in both formats, against Prometheus' parsers on arbitrary bits.
func FuzzText(f *testing.F) {
	v4 := uint64(0xffff) << 32
	for _, x := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64,
		math.SmallestNonzeroFloat64, 1 << 53, 1 << 63, math.MaxUint64} {
		f.Add(uint64(0), v4|0x7f000001, uint64(0), v4|0xffffffff, uint32(0x01bbffff), math.Float64bits(x), math.Float32bits(float32(x)), uint8(0xff))
	}
	f.Add(uint64(0), uint64(0), uint64(0), uint64(1), uint32(0), uint64(1), uint32(1), uint8(0))                          // :: and ::1
	f.Add(uint64(0xfe80)<<48, uint64(1), uint64(0x20010db8)<<32, uint64(0), uint32(0), uint64(1), uint32(1), uint8(0x20)) // runs of zeros
	f.Fuzz(func(t *testing.T, srcHi, srcLo, dstHi, dstLo uint64, ports uint32, bits uint64, bits32 uint32, flags uint8) {
		check(t, [4]uint64{srcHi, srcLo, dstHi, dstLo}, ports, bits, bits32, flags)
	})
}

// check renders one stream whose figures all come from bits and bits32, as they are or as floats,
// and reads it back. flags are the bits of Has and, as bit 5, the state.
func check(t *testing.T, a [4]uint64, ports uint32, bits uint64, bits32 uint32, flags uint8) {
	t.Helper()
	x, y := math.Float64frombits(bits), math.Float32frombits(bits32)
	views := []shown{{parse.Addr{Hi: a[0], Lo: a[1]}, parse.Addr{Hi: a[2], Lo: a[3]}, stream.View{
		SrcPort: uint16(ports >> 16), DstPort: uint16(ports),
		Finalized: flags&0x20 != 0, Has: stream.Has(flags) & allHas, Health: uint8(bits), WindowBytes: bits32, Packets: bits, Bytes: bits,
		Uptime: x, MinDelay: y, MaxDelay: -y, Bitrate: x,
		AvgDelay: y, Jitter: -y, BitrateVariation: y, SizeVariation: -y, InterarrivalDeviation: y,
		Retransmits: bits32, OutOfOrder: ^bits32, DuplicateAcks: bits32 >> 8, Gaps: bits32 >> 16, ZeroWindows: bits32 >> 24, Resets: bits32 << 8,
	}}}
	want := expected(views)
	sameSeries(t, parseText(t, render(t, views)).values, want)
	sameSeries(t, parseAs(t, renderAs(t, views, open), openType).values, want)
}
