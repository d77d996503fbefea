package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/promserver"
)

const (
	alertsFolder  = "../deploy/prometheus"
	smallRing     = "127.0.0.1:9101" // inside the router's namespace
	alertsQuiet   = 3 * time.Second  // watched before the faults
	alertsWithin  = 20 * time.Second // of the faults
	alertsFlood   = 30_000           // SYNs a second
	refusingPort  = 5432             // a service of the default list, where nothing listens
	awayInterface = "away0"
)

var (
	ruleWait  = regexp.MustCompile(`(?m)^( *for: )\S+$`)
	ruleRange = regexp.MustCompile(`\[(5m|15m|30m)\]`)
)

// A Prometheus that scrapes two exporters on a router has no alert of what passes there until each fault is induced: an
// interface that goes down, a SYN flood, a ring and a table too small for it, a service that refuses, and a path that
// loses packets. The rules are those that are delivered, but for their times, which are seconds.
func TestFaultsFireAlerts(t *testing.T) {
	t.Parallel() // mostly it waits
	for _, tool := range []string{"prometheus", "promtool", "iperf3", "nft"} {
		need.Tool(t, tool)
	}
	r := lab.NewRouter(t, lab.RouterConfig{})
	r.Offloads(t, false)
	r.M.Run(t, "ip", "link", "add", awayInterface, "type", "veth", "peer", "name", awayInterface+"peer")
	for _, end := range []string{awayInterface, awayInterface + "peer"} {
		r.M.Run(t, "ip", "link", "set", end, "up")
	}
	tcpgen := buildGenerator(t)
	e := r.M.StartExporter(t, binary(t), append(routerGroups, "-interface", "toa,"+awayInterface,
		"-metrics", ".*", "-group-metrics", ".*")...)
	// The filter keeps the transfers from it, whose bursts a ring of 8 KiB drops without a fault.
	r.M.LaunchExporter(t, binary(t), "-interface", "toa", "-port", smallRing, "-packet-filter", "tcp[tcpflags] & tcp-syn != 0",
		"-blocksize", "4096", "-numblocks", "2", "-max-connections", "1000", "-no-stream-metrics")
	for _, args := range [][]string{{"-s", "-i", "0"}, {"-c", r.B.Addr.String(), "-i", "0", "-t", "60", "-P", "4", "-b", "5M"}} {
		ns := r.A
		if args[0] == "-s" {
			ns = r.B
		}
		background(t, ns, "iperf3", args...)
		if ns == r.B {
			awaitListener(t, r.B, iperfPort)
		}
	}
	p := startWithRules(t, r.M)

	// That of what the machine's queues lose others may cause.
	lossy := []string{"TCPCaptureIncomplete", "TCPLostBeforeRing"}
	awaitQuery(t, p, `count(tcp_stream_exporter_capture_complete)`, equals(2))
	for end := time.Now().Add(alertsQuiet); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		for _, a := range alerts(t, p) {
			if !slices.Contains(lossy, a.Labels["alertname"]) {
				t.Errorf("without a fault there is %v: %s", a.Labels, a.Annotations["summary"])
			}
		}
	}
	checkMetrics(t, e)

	r.M.Run(t, "ip", "link", "set", awayInterface, "down")
	r.B.Run(t, "nft", "add table ip loss; add chain ip loss in { type filter hook input priority 0; }; "+
		"add rule ip loss in meta l4proto tcp ip length > 1000 numgen random mod 10 < 1 drop")
	generateConnections(t, r.A, tcpgen, 1, alertsFlood, "-syn-flood", "1", "-duration", "1m")
	over, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over); <-ended })
	go func() { // attempts at the service that refuses
		defer close(ended)
		for {
			if conn, err := r.A.Dial(t.Context(), "tcp4", r.B.Addr.String()+":"+strconv.Itoa(refusingPort)); err == nil {
				conn.Close() // what answers then is the test's error: the alert does not fire
			}
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	want := map[string]map[string]string{
		"TCPInterfaceAway":     {"instance": lab.Address, "interface": awayInterface},
		"TCPCaptureIncomplete": {"instance": lab.Address},
		"TCPRingDrops":         {"instance": smallRing},
		"TCPTableNearlyFull":   {"instance": smallRing},
		"TCPSYNFlood":          {"instance": lab.Address},
		"TCPServiceRefusing":   {"instance": lab.Address, "service": strconv.Itoa(refusingPort), "server_group": "remote"},
		"TCPRetransmissions":   {"instance": lab.Address, "direction": "from_client", "client_group": "home"},
	}
	begin := time.Now()
	for len(want) > 0 {
		all := alerts(t, p)
		for _, a := range all {
			name := a.Labels["alertname"]
			labels, wanted := want[name]
			for l, v := range labels {
				wanted = wanted && a.Labels[l] == v
			}
			if !wanted || a.State != "firing" {
				continue
			}
			t.Logf("%v: %s: %s", time.Since(begin).Round(100*time.Millisecond), name, a.Annotations["summary"])
			if s := a.Annotations["summary"]; strings.Contains(s, "<") {
				t.Errorf("%s has the summary %q", name, s)
			}
			delete(want, name)
		}
		if time.Since(begin) > alertsWithin {
			t.Fatalf("%v after the faults these do not fire: %v; there are %v", alertsWithin, want, all)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// checkMetrics has promtool check the answers of an exporter. It complains of one name, which is older than its rules.
func checkMetrics(t *testing.T, e *lab.Exporter) {
	t.Helper()
	for path, want := range map[string]string{
		"/metrics/summary": "tcp_stream_count non-histogram and non-summary metrics should not have \"_count\" suffix\n",
		"/metrics/streams": "",
	} {
		_, text, err := e.Do(http.MethodGet, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range []string{"tcp_group_connection_bytes", "tcp_mss_bytes"} { // off unless asked for
			if has, belongs := strings.Contains(text, "\n"+family), strings.HasPrefix(family, "tcp_group") == (want != ""); has != belongs {
				t.Errorf("%s has %s: %v, want %v", path, family, has, belongs)
			}
		}
		cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if string(out) != want || (err != nil) != (want != "") {
			t.Errorf("promtool check metrics of %s: %v\n%s", path, err, out)
		}
	}
}

// background runs a command in the namespace until the test ends.
func background(t *testing.T, ns *lab.NS, name string, args ...string) {
	t.Helper()
	cmd := ns.Command(name, args...)
	var out bytes.Buffer // read when the command has ended
	cmd.Stdout, cmd.Stderr = &out, &out
	ended, err := lab.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only if it has ended by itself
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out.String())
		}
	})
}

// startWithRules runs Prometheus with the delivered rules, whose times are cut to seconds. It scrapes the exporters twice a
// second.
func startWithRules(t *testing.T, ns *lab.NS) *promserver.Server {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"recording.yml", "alerts.yml"} {
		text, err := os.ReadFile(filepath.Join(alertsFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		text = ruleRange.ReplaceAll(ruleWait.ReplaceAll(text, []byte("${1}1s")), []byte("[5s]"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := promserver.Start(t.Context(), promserver.Config{Namespace: ns.Name, Address: "127.0.0.1:9090", Dir: dir, YAML: fmt.Sprintf(
		"global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"+
			"rule_files: [recording.yml, alerts.yml]\n"+
			"scrape_configs: [{job_name: tcp, metrics_path: /metrics/summary, static_configs: [{targets: ['%s', '%s']}]}]\n",
		lab.Address, smallRing)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", s.Output())
		}
	})
	return s
}

// alert is an alert that is pending or firing.
type alert struct {
	Labels, Annotations map[string]string
	State               string
}

func alerts(t *testing.T, s *promserver.Server) []alert {
	t.Helper()
	text, err := s.Text(t.Context(), "/api/v1/alerts")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Data struct{ Alerts []alert } }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data.Alerts
}
