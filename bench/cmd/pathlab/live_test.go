package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"tcp-stream-exporter/internal/need"
)

var (
	matrix       = flag.Bool("matrix", false, "run every live scenario (2 minutes), not only a few")
	exporterFlag = flag.String("exporter", "", "`file` of the exporter (default: built from the sources)")
)

func needs(t *testing.T) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "iperf3")
	need.File(t, "/dev/net/tun")
}

// buildDir holds the exporter that the tests run.
var buildDir string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runIn(m))
}

func runIn(m *testing.M) int {
	var err error
	if buildDir, err = os.MkdirTemp("", "pathlab-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(buildDir)
	return m.Run()
}

// exporter returns the file of one that is built for the first test that asks.
func exporter(t *testing.T) string {
	t.Helper()
	if *exporterFlag != "" {
		return *exporterFlag
	}
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var build = sync.OnceValues(func() (string, error) {
	file := filepath.Join(buildDir, "exporter")
	out, err := exec.Command("go", "build", "-C", "../../..", "-buildvcs=false", "-o", file, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot build the exporter: %w\n%s", err, out)
	}
	return file, nil
})

// attempts is the number of tries of a scenario whose figures differ while the path did not keep its times: a longer
// delay then changes what counts as reordering. A scenario on a path that kept them has one.
const attempts = 3

// few returns the scenarios of every run of the tests: repairs alone on either side of the point, and
// repairs among overtaken segments.
func few() []scenario {
	return []scenario{
		besideReceiver(6*ms, losses{1, 0}),
		besideSender(26*ms, losses{0, 4}),
		besideReceiver(6*ms, losses{1, 0}).with(heldBackName, heldBack),
	}
}

// The exporter captures at an end of a path that knows what was sent again and what was overtaken.
func TestLiveAgainstTheTruth(t *testing.T) {
	needs(t)
	c := config{exporter: exporter(t), live: true, seconds: 2.5, mbits: 30, congestion: "cubic", scenarios: few()}
	least := uint64(10)
	if *matrix {
		c.scenarios, c.seconds = live(), 2
		least = 1 // the slow ones have few
	}
	for i, s := range c.scenarios {
		t.Run(s.name, func(t *testing.T) {
			c := c
			c.seed = uint64(i)
			var r *result
			for range attempts {
				var err error
				if r, err = c.measure(context.Background(), s); err != nil {
					t.Fatal(err)
				}
				notes := r.notes()
				if len(notes) == 0 {
					break
				}
				t.Log(notes, r.complaints())
			}
			t.Logf("%d packets; sent again %d (%d of them unnoticeable, %d more lost before the point), overtaken %d; TcpRetransSegs %d; exporter %v; 99%% late by %v at most",
				r.truth.Packets, r.truth.Again, r.truth.Unnoticeable, r.truth.AgainLost, r.truth.Overtaken, r.kernel, r.exporter, r.late.Share(0.99))
			if r.truth.Again < least || s.path.Held > 0 && r.truth.Overtaken < least {
				t.Errorf("%d segments sent again, %d overtaken: too few for this test, want %d at least", r.truth.Again, r.truth.Overtaken, least)
			}
			for _, complaint := range r.complaints() {
				t.Error(complaint)
			}
		})
	}
}

// The exporter's round trips beside the sender, where a queue makes them grow and shrink.
func TestLiveRoundTripAgainstTCPInfo(t *testing.T) {
	needs(t)
	seconds := 6.0
	if *matrix {
		seconds = 12
	}
	r, err := measureRTT(context.Background(), exporter(t), seconds)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	for _, complaint := range r.complaints() {
		t.Error(complaint)
	}
}
