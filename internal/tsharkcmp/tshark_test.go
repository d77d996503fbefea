package tsharkcmp

import (
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// samples are captures with tshark's figures beside them.
const samples = "../../../shared/pcaps"

// sampleFiles returns the captures and their stored figures.
func sampleFiles(t *testing.T) map[string]string {
	t.Helper()
	need.File(t, samples)
	tables, err := filepath.Glob(samples + "/*.tsv")
	if err != nil || len(tables) == 0 {
		t.Fatalf("no figures in %s: %v", samples, err)
	}
	files := map[string]string{}
	for _, tsv := range tables {
		captures, err := filepath.Glob(strings.TrimSuffix(tsv, ".tsv") + ".pcap*")
		if err != nil || len(captures) != 1 {
			t.Fatalf("%s: captures %v, want one: %v", tsv, captures, err)
		}
		files[captures[0]] = tsv
	}
	return files
}

// needTshark40 needs the tshark whose figures are stored: later ones judge reordering by other rules.
func needTshark40(t *testing.T) {
	t.Helper()
	need.Tool(t, "tshark")
	version, err := TsharkVersion()
	if err != nil {
		t.Fatal(err)
	}
	need.That(t, strings.Contains(version, " 4.0."), "needs tshark 4.0, this is "+version)
}

// TestTsharkRun runs tshark on every sample capture. It proves this package's reading of tshark by
// the stored figures, and compares the exporter's with those of this tshark, which also separates the
// connections that shared a four-tuple.
func TestTsharkRun(t *testing.T) {
	needTshark40(t)
	for capture, tsv := range sampleFiles(t) {
		name := filepath.Base(capture)
		t.Run(name, func(t *testing.T) {
			stored, err := ReadTSV(tsv)
			if err != nil {
				t.Fatal(err)
			}
			tshark, err := RunTshark(capture)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := RunExporter(capture)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range Compare(tshark, ours).Differences {
				if !slices.Contains(explained[name], d.String()) {
					t.Error(d)
				}
			}
			for _, d := range directions(tshark, stored) {
				got, want := tshark[d], stored[d]
				if got == nil || want == nil {
					t.Errorf("%v: now %v, stored %v", d, got, want)
					continue
				}
				if want.RTT.Min < 0 { // a clock that was set back; such a sample is stored, and none here
					if name != "sll-snaplen-v6.pcapng" || got.RTT.N != want.RTT.N-1 {
						t.Errorf("%v: RTT now %+v, stored %+v", d, got.RTT, want.RTT)
					}
					got.RTT = want.RTT
				}
				round(&got.RTT.Avg, want.RTT.Avg)
				round(&got.RTT.Min, want.RTT.Min)
				round(&got.RTT.Max, want.RTT.Max)
				got.Each, got.Span = nil, 0 // not stored
				got.MissedRepeats, got.MissedDuplicateACKs, got.EarlyACKs = 0, 0, 0
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%v:\nnow    %+v\nstored %+v", d, *got, *want)
				}
			}
		})
	}
}

// round makes x what it was stored as: differences of times that were rounded to text.
func round(x *float64, stored float64) {
	if math.Abs(*x-stored) < 2e-6 {
		*x = stored
	}
}
