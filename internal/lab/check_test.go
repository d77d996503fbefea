package lab

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// said is one answer: its text, and when it was asked for and complete, in seconds.
type said struct {
	begin, done float64
	text        string
}

// about returns an exporter's lines of one stream: its state, its uptime and two of its counters.
func about(state string, uptime, bytes, resets float64) string {
	const labels = `{src_ip="10.0.0.1",src_port="1",dst_ip="10.0.0.2",dst_port="2",state="`
	return fmt.Sprintf("tcp_bytes_transferred_total%[1]s%[2]s\"} %[4]v\ntcp_stream_uptime_seconds%[1]s%[2]s\"} %[3]v\ntcp_resets_total%[1]s%[2]s\"} %[5]v\n",
		labels, state, uptime, bytes, resets)
}

// begun adds the time of the stream's first packet.
func begun(text string, at float64) string {
	return text + strings.Split(strings.ReplaceAll(text, "tcp_bytes_transferred_total", firstFamily), " ")[0] + fmt.Sprintf(" %v\n", at)
}

func TestChecker(t *testing.T) {
	const stream = `{src_ip="10.0.0.1",src_port="1",dst_ip="10.0.0.2",dst_port="2",state="active"}`
	for _, row := range []struct {
		says    string
		answers []said
		want    []string // parts of the complaint; none: there is none
	}{
		{"nothing", []said{{0, 1, ""}}, nil},
		{"a good answer, and the same again", []said{{0, 1, sample}, {2, 3, sample}}, nil},

		{"a series twice", []said{{0, 1, "a{x=\"1\"} 1\nb 1\na{x=\"1\"} 2\n"}}, []string{`a{x="1"} is there twice`}},
		{"a bare series twice", []said{{0, 1, "a 1\na 1\n"}}, []string{"a is there twice"}},
		{"the stream's series twice", []said{{0, 1, "a_total" + stream + " 1\na_total" + stream + " 1\n"}}, []string{"a_total" + stream + " is there twice"}},
		{"and in another place", []said{{0, 1, about("active", 1, 1, 1) + "tcp_resets_total" + stream + " 1\n"}}, []string{"tcp_resets_total" + stream + " is there twice"}},
		{"a stream in two states", []said{{0, 1, about("active", 1, 1, 1) + about("finalized", 1, 1, 1)}}, []string{"in another state as well"}},
		{"a series in each of two answers", []said{{0, 1, "a 1\n"}, {2, 3, "a 1\n"}}, nil},
		{"states of something else than a stream", []said{{0, 1, "s{state=\"active\"} 1\ns{state=\"finalized\"} 1\n"}}, nil},

		{"a label's value that is not UTF-8", []said{{0, 1, "a{x=\"\xff\"} 1\n"}}, []string{`a{x=\"\xff\"} 1`, "not UTF-8"}},
		{"a label's name", []said{{0, 1, "a{\xff=\"x\"} 1\n"}}, []string{`a{\xff=`, "not UTF-8"}},
		{"a metric's name", []said{{0, 1, "a\xff 1\n"}}, []string{`a\xff`, "not UTF-8"}},
		{"a help text", []said{{0, 1, "# HELP a \xff\n"}}, []string{`HELP a \xff`, "not UTF-8"}},
		{"UTF-8 with spaces and quotes", []said{{0, 1, "a{x=\"ä \\\" } 1\"} 1\na{x=\"ä \\\" } 2\"} 1\n"}}, nil},

		{"no value", []said{{0, 1, "a\n"}}, []string{`"a" is no series and its value`}},
		{"a line that is cut off", []said{{0, 1, "a 1\nb 1"}}, []string{`"b 1": the last line has no end`}},

		{"a counter of the process falls", []said{{0, 1, "a_total 2\n"}, {2, 3, "a_total 1\n"}}, []string{"a_total fell from 2 to 1"}},
		{"two answers later", []said{{0, 1, "a_total 2\n"}, {2, 3, "b 1\n"}, {4, 5, "a_total 1\n"}}, []string{"a_total fell from 2 to 1"}},
		{"a counter with a label that a stream has too", []said{{0, 1, "a_total{state=\"active\"} 2\n"}, {2, 3, "a_total{state=\"active\"} 1\n"}},
			[]string{`a_total{state="active"} fell from 2 to 1`}},
		{"a counter becomes no number", []said{{0, 1, "a_total 2\n"}, {2, 3, "a_total NaN\n"}}, []string{"a_total fell from 2 to NaN"}},
		{"a gauge falls", []said{{0, 1, "a 2\ntcp_stream_count 2\n"}, {2, 3, "a 1\ntcp_stream_count 1\n"}}, nil},
		{"of two answers at the same time nobody knows which is older", []said{{0, 3, "a_total 2\n"}, {2, 4, "a_total 1\n"}}, nil},

		{"a stream goes on", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, about("active", 6, 7, 1)}}, nil},
		{"its counter falls", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, about("active", 6, 8, 0)}},
			[]string{"tcp_resets_total" + stream + " fell from 1 to 0"}},
		{"that of a young one, too", []said{{10, 10.1, about("active", .1, 7, 1)}, {10.2, 10.3, about("active", .3, 6, 1)}}, []string{"tcp_bytes_transferred_total" + stream + " fell from 7 to 6"}},
		{"two counters fall", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, about("active", 6, 0, 0)}}, []string{"tcp_bytes", "tcp_resets"}},
		{"at its end", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, about("finalized", 5.5, 6, 1)}}, []string{"fell from 7 to 6"}},
		{"behind its end", []said{{10, 10.1, about("finalized", .5, 7, 1)}, {11, 11.1, about("finalized", .5, 6, 1)}}, []string{"fell from 7 to 6"}},
		{"when it is active again", []said{{10, 10.1, about("finalized", 5, 7, 1)}, {11, 11.1, about("active", 8, 6, 1)}}, []string{"fell from 7 to 6"}},
		{"later than in the next answer", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, about("active", 6, 8, 1)}, {12, 12.1, about("active", 7, 7, 1)}},
			[]string{"fell from 8 to 7"}},
		{"with an answer of other families in between", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, "b_total" + stream + " 1\n"}, {12, 12.1, about("active", 7, 6, 1)}},
			[]string{"fell from 7 to 6"}},
		{"with an answer that begins earlier and ends later in between", []said{{10, 10.1, about("active", 5, 7, 1)}, {9, 11, about("active", 5, 1, 0)}, {12, 12.1, about("active", 7, 6, 1)}},
			[]string{"fell from 7 to 6"}},
		{"by the time of its first packet", []said{{10, 10.1, begun(about("active", .5, 7, 1), 100.001)}, {11, 11.1, begun(about("finalized", .5, 6, 1), 100.002)}}, []string{"fell from 7 to 6"}},

		{"another stream on its ports", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, about("active", .5, 1, 0)}}, nil},
		{"one that ends at once", []said{{10, 10.1, about("finalized", .5, 7, 1)}, {11, 11.1, about("finalized", .1, 1, 0)}}, nil},
		{"one that lives longer than the one before", []said{{10, 10.1, about("active", .1, 7, 1)}, {12, 12.1, about("finalized", 1.9, 1, 0)}}, nil},
		{"one that was away for an answer", []said{{10, 10.1, about("active", 5, 7, 1)}, {11, 11.1, strings.ReplaceAll(about("active", 5, 7, 1), "10.0.0.1", "10.0.0.9")}, {12, 12.1, about("active", .1, 6, 0)}}, nil},
		{"by the time of its first packet, another stream", []said{{10, 10.1, begun(about("active", 5, 7, 1), 100.001)}, {11, 11.1, begun(about("active", 6, 6, 1), 100.5)}}, nil},
	} {
		c := &Checker{}
		at := func(s float64) time.Time { return time.Unix(1000, 0).Add(seconds(s)) }
		var faults []error
		for _, s := range row.answers {
			a := c.Answer(at(s.begin), at(s.done))
			for _, part := range strings.SplitAfter(s.text, "_") { // lines do not come in one piece
				io.WriteString(a, part)
			}
			faults = append(faults, a.Close())
		}
		got := errors.Join(faults...)
		if (got == nil) != (len(row.want) == 0) {
			t.Errorf("%s: %v, want %q", row.says, got, row.want)
			continue
		}
		for _, part := range row.want {
			if !strings.Contains(got.Error(), part) {
				t.Errorf("%s: %q, want a word of %q", row.says, got, part)
			}
		}
	}
}

// failures notes what a test is failed with.
type failures struct {
	testing.TB
	all []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

// What is read of /metrics is checked by itself, however it is packed, and fails the test that started the
// exporter. What is not read to its end, and other pages, are not.
func TestAnswersAreChecked(t *testing.T) {
	const bad, good = "b_total 2\na 1\na 1\n", "b_total 1\n"
	text := bad
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch w.Header().Set("Content-Encoding", r.Header.Get("Accept-Encoding")); r.Header.Get("Accept-Encoding") {
		case "gzip":
			z := gzip.NewWriter(w)
			io.WriteString(z, text)
			z.Close()
		case "zstd":
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(z, text)
			z.Close()
		default:
			w.Header().Del("Content-Encoding")
			io.WriteString(w, text)
		}
	}))
	defer server.Close()
	f := &failures{}
	e := &Exporter{t: f}
	ask := func(page, coding string, whole bool) {
		t.Helper()
		req, err := http.NewRequest("GET", server.URL+page, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", coding)
		resp, err := e.Send(server.Client(), req)
		if err != nil {
			t.Fatal(err)
		}
		if whole {
			body, err := io.ReadAll(resp.Body)
			if string(body) != text || err != nil {
				t.Errorf("%s %s: %q, %v, want %q", page, coding, body, err, text)
			}
		}
		resp.Body.Close()
	}
	ask("/", "identity", true)
	ask("/metrics", "identity", false)
	ask("/metrics", "gzip", false)
	ask("/metrics", "zstd", false)
	if len(f.all) != 0 {
		t.Errorf("complaints about what is not checked: %q", f.all)
	}
	for _, coding := range []string{"identity", "gzip", "zstd"} {
		f.all = nil
		if ask("/metrics?name[]=a", coding, true); len(f.all) != 1 || !strings.HasSuffix(f.all[0], ": a is there twice") {
			t.Errorf("%s: complaints %q, want one of a series that is there twice", coding, f.all)
		}
	}
	f.all, text = nil, good
	if ask("/metrics", "gzip", true); len(f.all) != 1 || !strings.Contains(f.all[0], "b_total fell from 2 to 1") {
		t.Errorf("complaints %q, want one of a counter that fell", f.all)
	}
}

// An answer of a hundred thousand streams is checked in little time and memory.
func BenchmarkChecker(b *testing.B) {
	const streams, counters = 100_000, 20
	var text strings.Builder
	for f := range counters {
		for s := range streams {
			fmt.Fprintf(&text, "tcp_%d_total{src_ip=\"10.0.%d.%d\",src_port=\"1\",dst_ip=\"10.0.0.2\",dst_port=\"2\",state=\"active\"} %d\n", f, s>>8, s&255, f*s)
		}
	}
	all := []byte(text.String())
	c := &Checker{}
	b.SetBytes(int64(len(all)))
	b.ReportAllocs()
	for b.Loop() {
		a := c.Answer(time.Now(), time.Now())
		a.Write(all)
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
