package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/netpath"
	"tcp-stream-exporter/internal/need"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		n    int    // scenarios
		want string // error
	}{
		{"", 48, ""},
		{"-live", 20, ""},
		{"-run ^26ms,loss=1%\\+0%$", 1, ""},
		{"-run ^100ms,", 12, ""},
		{"-run nothing", 0, "matches no scenario"},
		{"-run (", 0, "-run"},
		{"-seconds 0", 0, "-seconds 0"},
		{"-mbits 0", 0, "-mbits 0"},
		{"file", 0, `unexpected argument "file"`},
	} {
		got, err := parse(strings.Fields(c.args), io.Discard)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: error %v, want %q", c.args, err, c.want)
			}
			continue
		}
		if err != nil || len(got.scenarios) != c.n {
			t.Errorf("%q: %d scenarios, %v; want %d", c.args, len(got.scenarios), err, c.n)
		}
	}
}

// A name chooses a scenario and is a file's; a live one must leave one side of the point alone.
func TestScenarios(t *testing.T) {
	for _, all := range [][]scenario{recorded(), live()} {
		seen := map[string]bool{}
		for _, s := range all {
			if seen[s.name] {
				t.Errorf("two scenarios are called %s", s.name)
			}
			seen[s.name] = true
		}
	}
	for _, s := range live() {
		nothing := s.path.Behind
		if s.at == atSender {
			nothing = s.path.Before
		}
		if s.at == nowhere || nothing != (netpath.Half{}) || s.path.Mbits > 0 && s.at != atSender || s.path.Held > 0 && s.at != atReceiver {
			t.Errorf("%s: what passes its device is not what passes the capture point", s.name)
		}
	}
	for _, c := range []struct {
		s    scenario
		want time.Duration
	}{{midway(6*ms, losses{}), 4 * time.Second}, {midway(26*ms, losses{}), 8 * time.Second}, {besideSender(100*ms, losses{}), 12 * time.Second}} {
		if got := c.s.length(4); got != c.want {
			t.Errorf("%s: %v, want %v", c.s.name, got, c.want)
		}
	}
}

func TestSumFrom(t *testing.T) {
	const text = `# TYPE tcp_retransmits_total counter
tcp_retransmits_total{src_ip="10.99.0.1",src_port="1",dst_ip="10.99.0.2",dst_port="2",state="active"} 3
tcp_retransmits_total{src_ip="10.99.0.1",src_port="3",dst_ip="10.99.0.2",dst_port="2",state="finalized"} 4
tcp_retransmits_total{src_ip="10.99.0.2",src_port="2",dst_ip="10.99.0.1",dst_port="1",state="active"} 100
tcp_out_of_order_packets_total{src_ip="10.99.0.1",src_port="1",dst_ip="10.99.0.2",dst_port="2",state="active"} 5
capture_dropped_packets_total 6
`
	s, err := sumFrom(strings.NewReader(text), senderAddr)
	if err != nil || s.verdict() != (verdict{7, 5}) || s[familyDropped] != 6 {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := sumFrom(strings.NewReader("tcp_retransmits_total many\n"), senderAddr); err == nil {
		t.Error("a value that is no number is no error")
	}
}

func TestComplaints(t *testing.T) {
	truth := netpath.Truth{Again: 203, Unnoticeable: 3, AgainLost: 7, Overtaken: 50}
	for _, c := range []struct {
		name   string
		r      result
		expect int
	}{
		{"all agree", result{truth: truth, kernel: 210, exporter: verdict{200, 50}}, 0},
		{"just within", result{truth: truth, kernel: 210, exporter: verdict{204, 49}}, 0},
		{"five too many and two too few", result{truth: truth, kernel: 210, exporter: verdict{205, 48}}, 2},
		{"the kernel counts one more", result{truth: truth, kernel: 211, exporter: verdict{200, 50}}, 1},
	} {
		if got := c.r.complaints(); len(got) != c.expect {
			t.Errorf("%s: %q, want %d complaints", c.name, got, c.expect)
		}
	}
}

// One scenario from the path to the table, with the exporter reading what the path recorded.
func TestRecordedScenario(t *testing.T) {
	needs(t)
	need.Tool(t, "tshark")
	args := []string{"-exporter", exporter(t), "-run", `^6ms,loss=1%\+1%$`, "-seconds", "1", "-markdown", "-captures", t.TempDir()}
	var out, complaints bytes.Buffer
	for range attempts {
		out.Reset()
		complaints.Reset()
		if err := run(context.Background(), args, &out, &complaints); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s%s", &out, &complaints)
		if !strings.Contains(complaints.String(), busy) {
			break
		}
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[2], "| 6ms, loss=1%+1% | ") || strings.Count(lines[2], "|") != 9 {
		t.Errorf("table:\n%s", &out)
	}
	if complaints.Len() > 0 {
		t.Errorf("complaints:\n%s", &complaints)
	}
}
