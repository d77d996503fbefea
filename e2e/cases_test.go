package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const (
	// caseFolder holds small captures whose figures are known: their maker played both endpoints.
	caseFolder  = "../../shared/cases"
	caseFigures = "expected.tsv"

	// caseTolerance is half of the captures' clock tick: a figure in seconds that is taken from the wrong
	// packet is off by a tick at least, and rounding adds far less.
	caseTolerance = 0.5e-6

	caseTimeout = time.Minute // for one run of the exporter
)

// caseFlags keep every stream to the end and show every family.
var caseFlags = []string{"-packet-filter", "", "-ipv6", "-stream-age", "55000h", "-finalized-age", "55000h", "-metrics", ".*"}

// caseFile describes one capture.
type caseFile struct {
	lines []caseLine
	again [][]string // flags of further runs, which have the same figures
}

// caseLine is one figure of one stream.
type caseLine struct {
	flow   lab.Flow
	metric string // a family; a/b: the quotient of two; state: the label
	want   caseWant
}

// caseWant is the expectation of a figure.
type caseWant struct {
	text     string  // a state, absent, a number or lo..hi
	arguable bool    // reported, not demanded
	number   bool    // text is a number or lo..hi
	lo, hi   float64 // the same for a number
}

// TestCases holds the exporter's figures over every synthetic capture against the known ones.
func TestCases(t *testing.T) {
	t.Parallel() // mostly it waits
	need.File(t, caseFolder)
	files, err := readCases(filepath.Join(caseFolder, caseFigures))
	if err != nil {
		t.Fatal(err)
	}
	captures, err := filepath.Glob(filepath.Join(caseFolder, "*.pcap*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range captures {
		if name := filepath.Base(path); files[name] == nil {
			files[name] = &caseFile{} // fails for want of lines
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) { files[name].test(t, filepath.Join(caseFolder, name)) })
	}
}

func (f *caseFile) test(t *testing.T, path string) {
	if len(f.lines) == 0 {
		t.Fatalf("%s has no figures of this capture", caseFigures)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s has figures of this capture, which is not there", caseFigures)
	}
	f.compare(t, "", readCapture(t, path))
	for _, flags := range f.again {
		f.compare(t, "with "+strings.Join(flags, " ")+": ", readCapture(t, path, flags...))
	}
}

// compare reports every line that the exposition does not bear out. run numbers the run.
func (f *caseFile) compare(t *testing.T, run string, m lab.Metrics) {
	t.Helper()
	for _, l := range f.lines {
		got := caseFigure(m, l.flow, l.metric)
		switch {
		case l.want.arguable:
			t.Logf("%s%v %s: %s, arguably %s", run, l.flow, l.metric, got, l.want.text)
		case !l.want.met(l.metric, got):
			t.Errorf("%s%v %s: %s, want %s", run, l.flow, l.metric, got, l.want.text)
		}
	}
}

// readCapture runs the exporter on a capture file. flags, each with a value behind it, go in the place of
// those of caseFlags.
func readCapture(t *testing.T, path string, flags ...string) lab.Metrics {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), slices.Concat([]string{"-read", path}, withFlags(caseFlags, flags))...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args[1:], err, &said)
	}
	m, err := lab.ParseMetrics(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// withFlags returns args with the flags of others, each of which has a value behind it, in the place of its
// own of the same name.
func withFlags(args, others []string) []string {
	args = slices.Clone(args)
	for pair := range slices.Chunk(others, 2) {
		if at := slices.Index(args, pair[0]); at >= 0 {
			args = slices.Delete(args, at, at+2)
		}
		args = append(args, pair...)
	}
	return args
}

// caseFigure returns a stream's figure of the exposition, as expected.tsv writes it.
func caseFigure(m lab.Metrics, f lab.Flow, metric string) string {
	if dividend, divisor, ok := strings.Cut(metric, "/"); ok {
		a, errA := strconv.ParseFloat(caseFigure(m, f, dividend), 64)
		b, errB := strconv.ParseFloat(caseFigure(m, f, divisor), 64)
		if errA != nil || errB != nil {
			return "absent"
		}
		return strconv.FormatFloat(a/b, 'g', -1, 64)
	}
	family := metric
	if metric == "state" {
		family = "tcp_packets_total" // every stream has it
	}
	var states []string
	for _, state := range []string{"active", "finalized"} {
		if _, ok := m[f.Key(family, state)]; ok {
			states = append(states, state)
		}
	}
	switch {
	case len(states) == 0:
		return "absent"
	case len(states) > 1: // one stream shown twice: wrong, whatever the figure
		return strings.Join(states, " and ")
	case metric == "state":
		return states[0]
	}
	return strconv.FormatFloat(m[f.Key(family, states[0])], 'g', -1, 64)
}

// met reports whether a figure is as expected. Counts and ends of ranges are exact.
func (w *caseWant) met(metric, got string) bool {
	if !w.number {
		return got == w.text
	}
	v, err := strconv.ParseFloat(got, 64)
	if err != nil {
		return false
	}
	slack := 0.0
	if w.lo == w.hi && strings.Contains(metric, "_seconds") {
		slack = caseTolerance
	}
	return w.lo-slack <= v && v <= w.hi+slack
}

// readCases reads the known figures, by capture file.
func readCases(path string) (map[string]*caseFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if want := "file\tsrc\tsport\tdst\tdport\tmetric\tvalue"; lines[0] != want {
		return nil, fmt.Errorf("%s: columns %q, want %q", path, lines[0], want)
	}
	files := map[string]*caseFile{}
	for n, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		if len(fields) != 7 {
			return nil, fmt.Errorf("%s:%d: %d fields, want 7", path, n+2, len(fields))
		}
		f := files[fields[0]]
		if f == nil {
			f = &caseFile{}
			files[fields[0]] = f
		}
		if fields[5] == "flags" {
			f.again = append(f.again, strings.Fields(fields[6]))
			continue
		}
		l := caseLine{metric: fields[5]}
		var errs [3]error
		l.flow.Src, errs[0] = caseEndpoint(fields[1], fields[2])
		l.flow.Dst, errs[1] = caseEndpoint(fields[3], fields[4])
		l.want, errs[2] = parseCaseWant(l.metric, fields[6])
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n+2, err)
		}
		f.lines = append(f.lines, l)
	}
	return files, nil
}

func caseEndpoint(addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a, uint16(p)), err
}

func parseCaseWant(metric, value string) (w caseWant, err error) {
	w.text, w.arguable = strings.CutPrefix(value, "?")
	if metric == "state" || w.text == "absent" {
		return w, nil
	}
	w.number = true
	lo, hi, isRange := strings.Cut(w.text, "..")
	if !isRange {
		hi = lo
	}
	if w.lo, err = strconv.ParseFloat(lo, 64); err == nil {
		w.hi, err = strconv.ParseFloat(hi, 64)
	}
	if err == nil && !(w.lo <= w.hi) { // also of what is not a number
		err = fmt.Errorf("%q is neither a number nor a range", value)
	}
	return w, err
}

// TestCasesTell wants each kind of line to accept right figures and refuse wrong ones.
func TestCasesTell(t *testing.T) {
	t.Parallel() // mostly it waits
	f := lab.Flow{Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("[2001:db8::1]:2")}
	m := lab.Metrics{
		f.Key("tcp_packets_total", "active"):               5,
		f.Key("tcp_handshake_seconds", "active"):           0.0050000001,
		f.Key("tcp_rtt_seconds_total", "active"):           0.3,
		f.Key("tcp_rtt_samples_total", "active"):           10,
		f.Reverse().Key("tcp_packets_total", "active"):     1,
		f.Reverse().Key("tcp_packets_total", "finalized"):  1,
		f.Reverse().Key("tcp_rtt_seconds_total", "active"): 0,
		f.Reverse().Key("tcp_rtt_samples_total", "active"): 0,
	}
	const mean = "tcp_rtt_seconds_total/tcp_rtt_samples_total"
	for _, c := range []struct {
		flow          lab.Flow
		metric, value string
		met           bool
	}{
		{f, "tcp_packets_total", "5", true},
		{f, "tcp_packets_total", "5.0000001", false},
		{f, "tcp_packets_total", "absent", false},
		{f, "tcp_packets_total", "4..5", true},
		{f, "tcp_packets_total", "5..6", true},
		{f, "tcp_packets_total", "6..7", false},
		{f, "tcp_retransmits_total", "absent", true},
		{f, "tcp_retransmits_total", "0", false},
		{f, "tcp_handshake_seconds", "0.005", true},
		{f, "tcp_handshake_seconds", "0.005001", false},
		{f, "tcp_handshake_seconds", "0.004..0.005", false},
		{f, mean, "0.03", true},
		{f, mean, "0.030001", false},
		{f, mean, "0.02..0.04", true},
		{f, "state", "active", true},
		{f, "state", "finalized", false},
		{f.Reverse(), "state", "active", false}, // in both states
		{f.Reverse(), "tcp_packets_total", "1", false},
		{f.Reverse(), mean, "0", false}, // of no samples
		{lab.Flow{Src: f.Src, Dst: f.Src}, "state", "active", false},
		{lab.Flow{Src: f.Src, Dst: f.Src}, mean, "0..1", false},
	} {
		want, err := parseCaseWant(c.metric, c.value)
		if err != nil {
			t.Fatal(err)
		}
		if got := caseFigure(m, c.flow, c.metric); want.met(c.metric, got) != c.met {
			t.Errorf("%v %s: %s met by %s: %v, want %v", c.flow, c.metric, c.value, got, !c.met, c.met)
		}
	}
	for _, value := range []string{"", "?", "many", "1..", "..1", "2..1", "NaN"} {
		if w, err := parseCaseWant("tcp_packets_total", value); err == nil {
			t.Errorf("%q: no error but %v", value, w)
		}
	}
}
