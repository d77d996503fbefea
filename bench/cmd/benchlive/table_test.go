package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/internal/probe"
	"tcp-stream-exporter/bench/internal/proc"
)

func TestMedianAndCount(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: %v, want %v", test.values, got, test.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("nothing has a median")
	}
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234: "1,230", 512_345: "512,000", 1_999_999: "2,000,000"} {
		if got := count(v); got != want {
			t.Errorf("count(%v) = %q, want %q", v, got, want)
		}
	}
}

// runs makes runs of a million packets with so many ns of CPU time each.
func runs(dropped uint64, ns ...int) (all []*outcome) {
	for _, n := range ns {
		all = append(all, &outcome{
			sent: 1e6, pps: 5e5, packets: 1e6 - dropped, dropped: dropped, cpu: time.Duration(n) * time.Millisecond,
			memory: proc.Memory{All: 60 << 20, Ring: 32 << 20}, probe: probe.Reading{GHz: 3, Share: 1}, mallocsRun: 7, mallocsSilent: 5,
		})
	}
	return all
}

func TestRatiosAreOfRunsSideBySide(t *testing.T) {
	c := &config{streams: []int{1000}, runs: 3, duration: time.Second, payload: 1400}
	exporter := &series{reader: "exporter", streams: 1000, runs: runs(0, 100, 400, 90), cleanRate: 5e5, limited: true}
	walk := &series{reader: "walk", streams: 1000, runs: runs(0, 50, 100, 60), cleanRate: 5e5, limited: true}
	cwalk := &series{reader: "cwalk", streams: 1000, runs: runs(0, 40, 200, 45), cleanRate: 5e5, limited: true}
	gopacket := &series{reader: "gopacket", streams: 1000, runs: runs(500_000, 1000, 2000, 900), cleanRate: 2e5}
	var out bytes.Buffer
	if err := print(&out, c, []*series{exporter, walk, cwalk, gopacket}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 1000 | exporter | 500,000 | 100 (90 to 400) | 0 | all, ≥ 500,000 | 60 MiB | 28 MiB |\n",
		"| 1000 | gopacket | 500,000 | 2000 (1800 to 4000) | 50.0 % | 200,000 | 60 MiB | 28 MiB |\n",
		"| 1000 | exporter / cheaper bare walk | 2.50 | 2.00 | 4.00 |\n", // of 100/40, 400/100 and 90/45
		"| 1000 | gopacket / exporter | 20.00 | 10.00 | 20.00 |\n",       // of 20, 10 and 20
		"| 1000 | 1,000,000 | 7 | 5 |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables have no line %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Not all arrived") {
		t.Error("it complains of packets that are all accounted for")
	}
	walk.runs[1].packets -= 3
	out.Reset()
	if err := print(&out, c, []*series{exporter, walk, cwalk, gopacket}); err != nil {
		t.Fatal(err)
	}
	if want := "Not all arrived: walk, 1000 streams, run 2: 1000000 sent, 999997 taken, 0 dropped.\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no line %q:\n%s", want, out.String())
	}
}

func TestEveryRunIsInTheTSV(t *testing.T) {
	var out bytes.Buffer
	silent := &idle{startUp: []time.Duration{40 * time.Millisecond}, share: 0.0005, switches: 7.5}
	all := []*series{
		{reader: "exporter", streams: 1000, runs: runs(0, 100, 400), cleanRate: 5e5, limited: true},
		{reader: "gopacket", streams: 1000, runs: runs(500_000, 1000)},
	}
	if err := writeTSV(&out, silent, all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"streams\treader\trun\tfigure\tvalue\n",
		"0\texporter\t1\tfirst_scrape_ms\t40\n", "0\texporter\t1\tidle_percent\t0.05\n", "0\texporter\t1\tidle_switches_per_second\t7.5\n",
		"1000\texporter\t1\tns_per_packet\t100\n", "1000\texporter\t2\tns_per_packet\t400\n",
		"1000\texporter\t1\tmallocs_silence\t5\n", "1000\texporter\t2\tmallocs_run\t7\n",
		"1000\texporter\t0\tclean_pps\t500000\n", "1000\texporter\t0\tclean_is_most\t1\n",
		"1000\tgopacket\t1\tdropped\t500000\n", "1000\tgopacket\t1\tresident_mib\t60\n", "1000\tgopacket\t1\tring_mib\t32\n",
		"1000\tgopacket\t0\tclean_pps\t0\n", "1000\tgopacket\t0\tclean_is_most\t0\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "exporter\t2\tmallocs_silence") || strings.Contains(out.String(), "gopacket\t1\tmallocs_run") {
		t.Errorf("figures that nobody measured:\n%s", out.String())
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"x", `unexpected argument "x"`}, {"-streams 3", "-streams"}, {"-streams 1000,", "-streams"},
		{"-readers exporter,none", `"none" is unknown`}, {"-runs 0", "-runs 0"}, {"-duration 1ms", "-duration 1ms"},
	} {
		if _, err := parse(strings.Fields(test.args)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.args, err, test.want)
		}
	}
	c, err := parse(nil)
	if err != nil || len(c.streams) != 2 || len(c.readers) != 4 || c.runs != 5 || c.tools == "" {
		t.Errorf("defaults %+v, %v", c, err)
	}
}
