package app

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/recorded"
)

// TestTableOfARecording holds the table against what it showed when it was looked through.
func TestTableOfARecording(t *testing.T) {
	for _, c := range []struct {
		content []byte
		args    string
		want    string
	}{
		{recorded.Cooked, "", `
SOURCE           DESTINATION      STATE         BYTES  PACKETS  RETRANS     DELAY    UPTIME
10.99.0.1:53602  10.99.0.2:5201   finalized  30.0 KiB       28        0  0.003 ms  0.803 ms
10.99.0.1:53586  10.99.0.2:5201   finalized     434 B       13        0  0.018 ms   1.19 ms
10.99.0.2:5201   10.99.0.1:53586  finalized     311 B       14        0  0.029 ms   1.09 ms
10.99.0.2:5201   10.99.0.1:53602  finalized       0 B       24        0  0.060 ms  0.682 ms
`},
		{recorded.EthernetNG, "-sort retransmits -streams-top 2", `
SOURCE           DESTINATION     STATE         BYTES  PACKETS  RETRANS     DELAY   UPTIME
10.99.0.1:53582  10.99.0.2:5201  finalized  39.9 KiB       35        7  0.006 ms  4.85 ms
10.99.0.1:53552  10.99.0.2:5201  finalized  30.0 KiB        8        0  0.005 ms  6.81 ms
12 more: -streams-top 14 shows all
`},
		{recorded.Ethernet, "-sort delay -streams-top 1 -streams-min-bytes 1000", `
SOURCE          DESTINATION      STATE         BYTES  PACKETS  RETRANS     DELAY   UPTIME
10.99.0.2:5201  10.99.0.1:53566  finalized  30.0 KiB        8        0  0.681 ms  3.45 ms
2 more: -streams-top 3 shows all
`},
		{recorded.Ethernet, "-streams-min-bytes 1000000", `
SOURCE  DESTINATION  STATE  BYTES  PACKETS  RETRANS  DELAY  UPTIME
`},
	} {
		file := writeFile(t, "recorded", c.content)
		out, complaints, code := exporter(append([]string{"-read", file, "-output", "table"}, strings.Fields(c.args)...)...)
		if code != exitOK || out != c.want[1:] || !strings.HasPrefix(complaints, "tcp-stream-exporter: "+file+": ") {
			t.Errorf("%q: exit status %d, %s\n%s\nwant%s", c.args, code, complaints, out, c.want)
		}
	}
}

// TestTableShowsTwentyRows: a screen, unless told otherwise.
func TestTableShowsTwentyRows(t *testing.T) {
	file := captureFile(t, conversations(30, 10)...)
	for _, c := range []struct {
		args  []string
		lines int
		last  string
	}{
		{nil, 22, "40 more: -streams-top 60 shows all"},
		{[]string{"-streams-top", "59"}, 61, "1 more: -streams-top 60 shows all"},
		{[]string{"-streams-top", "60"}, 61, ""},
		{[]string{"-streams-top", "2147483647"}, 61, ""},
	} {
		out, _, _ := exporter(append([]string{"-read", file, "-output", "table"}, c.args...)...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if last := lines[len(lines)-1]; len(lines) != c.lines || c.last != "" && last != c.last {
			t.Errorf("%v: %d lines, the last is %q, want %d and %q", c.args, len(lines), last, c.lines, c.last)
		}
	}
}

// TestJSONOfARecording holds a line against what it showed when it was looked through.
func TestJSONOfARecording(t *testing.T) {
	file := writeFile(t, "recorded", recorded.Cooked)
	out, _, code := exporter("-read", file, "-output", "json", "-metrics", "default,tcp_packets_total,tcp_handshake_seconds,tcp_mss_bytes", "-streams-top", "1")
	const want = `{"schema":1,"src_ip":"10.99.0.1","src_port":53602,"dst_ip":"10.99.0.2","dst_port":5201,"state":"finalized",` +
		`"tcp_avg_delay_seconds":2.695652e-06,"tcp_bytes_transferred_total":30757,"tcp_duplicate_acks_total":0,"tcp_handshake_seconds":1e-05,` +
		`"tcp_interarrival_variance_seconds":9.9078934e-05,"tcp_jitter_seconds":2.1955443e-06,"tcp_max_delay_seconds":1.1e-05,` +
		`"tcp_min_delay_seconds":1e-06,"tcp_mss_bytes":1460,"tcp_out_of_order_packets_total":0,"tcp_packet_rate_pps":34869.2403486924,` +
		`"tcp_packet_size_variance":0.405594,"tcp_packets_total":28,"tcp_resets_total":0,"tcp_retransmits_total":0,"tcp_sequence_gaps_total":0,` +
		`"tcp_stream_health_score":100,"tcp_stream_uptime_seconds":0.000803,"tcp_window_size_bytes":64512,"tcp_zero_window_events_total":0` + "}\n"
	if code != exitOK || out != want {
		t.Errorf("exit status %d\n%swant\n%s", code, out, want)
	}
}

// figure is a line of the text format with the labels of a stream.
var figure = regexp.MustCompile(`(?m)^(\w+)\{dst_ip="(.*)",dst_port="(.*)",src_ip="(.*)",src_port="(.*)",state="(.*)"\} (.*)$`)

// TestJSONEqualsTheMetrics wants every figure of every stream in both forms with the same digits, and none in
// only one, over recorded traffic of all kinds.
func TestJSONEqualsTheMetrics(t *testing.T) {
	const samples = "../../shared/pcaps"
	need.File(t, samples)
	files, err := filepath.Glob(samples + "/*.pcap*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	streams, figures := 0, map[string]int{}
	for _, file := range files {
		for _, metrics := range []string{"default", ".*", "tcp_mss_bytes,tcp_avg_delay_seconds"} {
			flags := []string{"-read", file, "-ipv6", "-packet-filter", "", "-metrics", metrics}
			text, _, code := exporter(flags...)
			lines, _, jsonCode := exporter(append(flags, "-output", "json")...)
			if code != exitOK || jsonCode != exitOK {
				t.Fatalf("%s: exit status %d and %d", file, code, jsonCode)
			}
			want := map[string]map[string]string{}
			for _, m := range figure.FindAllStringSubmatch(text, -1) {
				key := strings.Join([]string{m[4], m[5], m[2], m[3], m[6]}, " ")
				if want[key] == nil {
					want[key] = map[string]string{}
				}
				want[key][m[1]] = m[7]
				figures[m[1]]++
			}
			got := map[string]map[string]string{}
			for line := range strings.Lines(lines) {
				key, values := parseLine(t, line)
				if got[key] != nil {
					t.Fatalf("%s: %s comes twice", file, key)
				}
				if got[key] = values; len(values) == 0 {
					delete(got, key) // a stream without a figure is not in the text
				}
				streams++
			}
			if !maps.EqualFunc(got, want, maps.Equal) {
				t.Errorf("%s, -metrics %s: %d streams in JSON and %d in the text, or they differ", file, metrics, len(got), len(want))
			}
		}
	}
	if all := 30; streams < 6000 || len(figures) < all {
		t.Errorf("%d streams, %d families of %d: too few to say anything", streams, len(figures), all)
	}
}

// parseLine takes a line of JSON apart: who the stream is, and its figures as they are written.
func parseLine(t *testing.T, line string) (key string, figures map[string]string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	fields := map[string]any{}
	if err := d.Decode(&fields); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if _, err := d.Token(); err != io.EOF || !strings.HasSuffix(line, "}\n") || fields["schema"] != json.Number("1") {
		t.Fatalf("no object of schema 1 alone: %s", line)
	}
	var parts []string
	for _, name := range []string{"src_ip", "src_port", "dst_ip", "dst_port", "state"} {
		if n, ok := fields[name].(json.Number); ok && strings.HasSuffix(name, "_port") {
			parts = append(parts, n.String())
		} else if s, ok := fields[name].(string); ok && !strings.HasSuffix(name, "_port") {
			parts = append(parts, s)
		} else {
			t.Fatalf("%s is %v: %s", name, fields[name], line)
		}
		delete(fields, name)
	}
	delete(fields, "schema")
	figures = map[string]string{}
	for name, value := range fields {
		n, ok := value.(json.Number)
		if !ok {
			t.Fatalf("%s is no number: %s", name, line)
		}
		figures[name] = n.String()
	}
	if commas := strings.Count(line, `,"`); commas != 5+len(figures) {
		t.Fatalf("a field comes twice: %s", line)
	}
	return strings.Join(parts, " "), figures
}

// TestOutputPrometheusIsTheDefault wants the same bytes with the flag as without.
func TestOutputPrometheusIsTheDefault(t *testing.T) {
	file := writeFile(t, "recorded", recorded.Ethernet)
	want, _, _ := exporter("-read", file)
	if got, _, code := exporter("-read", file, "-output", "prometheus"); code != exitOK || got != want || !bytes.Contains([]byte(want), []byte("# TYPE ")) {
		t.Errorf("exit status %d, the same: %v", code, got == want)
	}
}

func TestOutputFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-read f -output yaml", "-output yaml: want prometheus, json or table"},
		{"-read f -output JSON", "-output JSON: want prometheus, json or table"},
		{"-output json", "-output json: goes with -read only: name a capture file with -read"},
		{"-output prometheus", "-output prometheus: goes with -read only: name a capture file with -read"},
		{"-read f -output table -sort size", "-sort size: want bytes, packets, retransmits, delay or health"},
		{"-read f -sort delay", "-sort delay: goes with -output table only: leave it out, or give -output table"},
		{"-read f -output json -sort bytes", "-sort bytes: goes with -output table only: leave it out, or give -output table"},
		{"-read f -output table -metrics default", "-metrics default and -output table: the table has columns of its own, and is sorted by -sort, leave out one of the flags"},
		{"-read f -output table -metrics-exclude tcp_mss_bytes", "-metrics-exclude tcp_mss_bytes and -output table: the table has columns of its own, and is sorted by -sort, leave out one of the flags"},
		{"-read f -output table -go-metrics", "-go-metrics true and -output table: the table has columns of its own, and is sorted by -sort, leave out one of the flags"},
		{"-read f -output json -no-stream-metrics", "-no-stream-metrics true and -output json: JSON has the per-stream metrics, and those alone, leave out one of the flags"},
		{"-read f -output json -process-metrics", "-process-metrics true and -output json: JSON has the per-stream metrics, and those alone, leave out one of the flags"},
	} {
		if _, err := parseFlags(strings.Fields(c.args), io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}

// TestOutputThatCannotBeWritten is what a full disk gives.
func TestOutputThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	file := writeFile(t, "recorded", recorded.Ethernet)
	for format := range outputFormats {
		var complaints bytes.Buffer
		code := run([]string{"-read", file, "-output", format}, full, &complaints)
		if code != exitFailure || !strings.Contains(complaints.String(), "no space left on device") {
			t.Errorf("%s: exit status %d, %s", format, code, complaints.String())
		}
	}
}
