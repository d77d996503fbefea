package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/promserver"
)

// The figures of docs/fleet.md are this test's log with
//
//	go test -count=1 -v ./e2e -run Fleet -args -fleet-connections 30
//	go test -count=1 -v ./e2e -run Fleet -args -fleet-connections 200
var fleetConnections = flag.Int("fleet-connections", 30, "connections that each router of the fleet sees besides the transfers")

const (
	fleetRouters = 3
	fleetBytes   = 1_500_000 // of each transfer, to the server
	fleetPerLink = 2         // transfers of each router

	// lossyRouter is the one behind which packets are lost, awayRouter the one whose interface goes away,
	// and deadRouter the one whose exporter ends.
	lossyRouter, awayRouter, deadRouter = "r2", "r3", "r1"

	fleetPatience = 30 * time.Second // for the interval of a second

	regionalAt, globalAt = "127.0.0.1:9090", "127.0.0.1:9091"

	// fleetKept are the families that docs/fleet.md has sent to the central Prometheus.
	fleetKept = `up|.+:.+|capture_.+|` +
		`tcp_stream_exporter_(capture_complete|interface_up|connections|connections_capacity|group_overflow_connections_total)|` +
		`tcp_group_(.+_total|connections|one_way_connections|(rtt|handshake)_seconds_(sum|count))`
)

// fleetInterval is that of all scrapes: longer with more connections, so that other programs' load ends no scrape.
func fleetInterval() time.Duration { return time.Second * time.Duration(1+*fleetConnections/50) }

// fleet is some routers with an exporter each, a Prometheus that scrapes them, and a central one that it writes to.
type fleet struct {
	routers          []*lab.Router
	exporters        []*lab.Exporter
	hub              *lab.Hub
	regional, global *promserver.Server
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	need.Tool(t, "prometheus")
	need.Tool(t, "nft")
	f := &fleet{}
	var managed []*lab.NS
	for range fleetRouters {
		r := lab.NewRouter(t, lab.RouterConfig{})
		r.Offloads(t, false)
		f.routers, managed = append(f.routers, r), append(managed, r.M)
	}
	f.hub = lab.NewHub(t, managed...)
	for _, r := range f.routers {
		f.exporters = append(f.exporters, r.M.StartExporter(t, binary(t), append(routerGroups, "-group", "subscribers/24=10.0.0.0/8",
			"-interface", "toa", "-service-ports", "none", "-numblocks", "16")...))
	}
	f.global = f.prometheus(t, globalAt, "global: {scrape_interval: 1m}\n", "--web.enable-remote-write-receiver")
	f.regional = f.prometheus(t, regionalAt, f.configuration())
	return f
}

// prometheus starts a server in the hub, which ends with the test.
func (f *fleet) prometheus(t *testing.T, address, yaml string, args ...string) *promserver.Server {
	t.Helper()
	s, err := promserver.Start(t.Context(), promserver.Config{Namespace: f.hub.Name, Address: address, Dir: t.TempDir(), YAML: yaml, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("prometheus at %s said:\n%s", address, s.Output())
		}
	})
	return s
}

// configuration is that of docs/fleet.md, but that all is scraped at one interval.
func (f *fleet) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "global:\n  scrape_interval: %v\n  scrape_timeout: %[1]v\n  external_labels: {region: north}\nscrape_configs:\n", fleetInterval())
	for job, path := range map[string]string{"tcp-summary": "/metrics/summary", "tcp-streams": "/metrics/streams"} {
		fmt.Fprintf(&b, "- job_name: %s\n  metrics_path: %s\n  static_configs:\n", job, path)
		for i, at := range f.hub.Members {
			fmt.Fprintf(&b, "  - targets: ['%s:9100']\n    labels: {router: r%d}\n", at, i+1)
		}
	}
	fmt.Fprintf(&b, "remote_write:\n- url: http://%s/api/v1/write\n  queue_config: {batch_send_deadline: 200ms}\n"+
		"  write_relabel_configs:\n  - {source_labels: [__name__], regex: '%s', action: keep}\n  - {source_labels: [__name__, job], regex: 'up;tcp-streams', action: drop}\n", globalAt, fleetKept)
	return b.String()
}

// awaitQuery asks until ok returns nil, and returns the result.
func awaitQuery(t *testing.T, s *promserver.Server, expr string, ok func([]promserver.Sample) error) []promserver.Sample {
	t.Helper()
	patience := fleetPatience * (fleetInterval() / time.Second)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		samples, err := s.Query(t.Context(), expr)
		if err == nil {
			if err = ok(samples); err == nil {
				return samples
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s: after %v: %v", expr, patience, err)
		}
	}
}

// equals wants a result of one series and its value.
func equals(want float64) func([]promserver.Sample) error {
	return func(samples []promserver.Sample) error {
		if len(samples) != 1 || samples[0].Value != want {
			return fmt.Errorf("is %v, want %v", samples, want)
		}
		return nil
	}
}

// ofRouter wants a result of one series, of a router, whatever its value.
func ofRouter(router string) func([]promserver.Sample) error {
	return func(samples []promserver.Sample) error {
		if len(samples) != 1 || samples[0].Labels["router"] != router {
			return fmt.Errorf("is %v, want one of router %s", samples, router)
		}
		return nil
	}
}

// Three routers are scraped by one Prometheus, which writes some families to another one. That one has the sums over all
// routers to the byte, says which link loses, and tells a router that is away from one whose interface is.
func TestFleet(t *testing.T) {
	t.Parallel() // mostly it waits
	f := newFleet(t)
	idle := f.memory(t)
	tcpgen := buildGenerator(t)
	for i, r := range f.routers {
		generateConnections(t, r.A, tcpgen, *fleetConnections, max(3000, *fleetConnections), "-seed", fmt.Sprint(i+1))
		if routerName(i) == lossyRouter {
			r.B.Run(t, "nft", "add table ip loss; add chain ip loss in { type filter hook input priority 0; }; "+
				"add rule ip loss in meta l4proto tcp ip length > 1000 numgen random mod 100 < 2 drop")
		}
		lab.Transfer{From: r.A, To: r.B, Connections: fleetPerLink, Forth: fleetBytes}.Run(t)
	}

	awaitQuery(t, f.global, `count(up{job="tcp-summary",region="north"} == 1)`, equals(fleetRouters))
	const forth = `{client_group="home",server_group="remote",direction="from_client"}`
	const sum = `sum(last_over_time(tcp_group_bytes_total` + forth + `[1h])) - sum(last_over_time(tcp_group_retransmitted_bytes_total` + forth + `[1h]))`
	awaitQuery(t, f.global, sum, equals(fleetRouters*fleetPerLink*fleetBytes))
	const share = `sum by (router) (tcp_group_retransmitted_packets_total` + forth + `) / sum by (router) (tcp_group_packets_total` + forth + `)`
	awaitQuery(t, f.global, `topk(1, `+share+` > 0.005)`, ofRouter(lossyRouter))
	awaitQuery(t, f.global, `count(tcp_stream_exporter_capture_complete)`, equals(fleetRouters)) // 0 if a softnet queue of the machine has dropped packets

	// What is left out is in the region alone, and no label of the exporters is one of Prometheus' own.
	awaitQuery(t, f.regional, `count(count by (router) (tcp_bytes_transferred_total))`, equals(fleetRouters))
	awaitQuery(t, f.regional, `count(count by (router) (tcp_group_rtt_seconds_bucket))`, equals(fleetRouters))
	for _, left := range []string{`tcp_bytes_transferred_total`, `tcp_group_rtt_seconds_bucket`, `up{job="tcp-streams"}`, `scrape_samples_scraped`} {
		if samples, err := f.global.Query(t.Context(), left); err != nil || len(samples) != 0 {
			t.Errorf("%s: %d series are in the central Prometheus (%v)", left, len(samples), err)
		}
	}
	for _, s := range []*promserver.Server{f.regional, f.global} {
		if labels, err := s.Text(t.Context(), "/api/v1/labels"); err != nil || strings.Contains(labels, "exported_") {
			t.Errorf("a label of an exporter is one of Prometheus' own: %s, %v", labels, err)
		}
	}
	asked := 0
	for expr := range strings.SplitSeq(block(t, "promql"), "\n\n") {
		asked++
		if _, err := f.global.Query(t.Context(), expr); err != nil {
			t.Errorf("a query of docs/fleet.md: %v", err)
		}
	}
	if asked < 4 {
		t.Errorf("%d queries in docs/fleet.md, want 4 or more", asked)
	}
	f.figures(t, idle)

	away, dead := f.routers[2], f.exporters[0]
	away.M.Run(t, "ip", "link", "set", "toa", "down")
	dead.Stop(t, syscall.SIGTERM)
	awaitQuery(t, f.global, `up{job="tcp-summary"} == 0`, ofRouter(deadRouter))
	awaitQuery(t, f.global, `tcp_stream_exporter_interface_up == 0 and on (router) up{job="tcp-summary"} == 1`, ofRouter(awayRouter))
	awaitQuery(t, f.global, `tcp_stream_exporter_capture_complete{router="`+awayRouter+`"} == 0`, ofRouter(awayRouter))
	awaitQuery(t, f.global, `count(tcp_stream_exporter_capture_complete)`, equals(fleetRouters-1)) // the series of who is away end
	awaitQuery(t, f.global, sum, equals(fleetRouters*fleetPerLink*fleetBytes))                     // but not what they were
	for path, want := range map[string]int{"/-/healthy": 200, "/-/ready": 503} {
		resp, err := f.hub.HTTPClient(httpTimeout).Get("http://" + f.hub.Members[2].String() + ":9100" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // a line
		if resp.StatusCode != want {
			t.Errorf("%s of the router whose interface is away: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func routerName(i int) string { return fmt.Sprintf("r%d", i+1) }

// memory is the resident memory of the regional and the central Prometheus, in bytes.
func (f *fleet) memory(t *testing.T) (m [2]int64) {
	t.Helper()
	for i, s := range []*promserver.Server{f.regional, f.global} {
		m[i] = memory(t, s.PID(), "VmRSS")
	}
	return m
}

// figures logs those of docs/fleet.md. idle is the memory before anything was scraped.
func (f *fleet) figures(t *testing.T, idle [2]int64) {
	t.Helper()
	for _, job := range []string{"tcp-summary", "tcp-streams"} {
		samples, err := f.regional.Query(t.Context(), `avg(scrape_samples_scraped{job="`+job+`"})`)
		if err != nil || len(samples) != 1 {
			t.Fatalf("%v, %v", samples, err)
		}
		t.Logf("%s: %.0f series of each exporter", job, samples[0].Value)
	}
	combinations, err := f.regional.Query(t.Context(), `avg(count by (router) (count by (router, client_group, server_group, service) (tcp_group_connections_opened_total)))`)
	if err != nil || len(combinations) != 1 {
		t.Fatalf("%v, %v", combinations, err)
	}
	t.Logf("%.0f combinations of groups of each exporter", combinations[0].Value)
	before, begin := f.own(t), time.Now()
	time.Sleep(3 * fleetInterval())
	after, took, busy := f.own(t), time.Since(begin).Seconds(), f.memory(t)
	for i, name := range []string{"regional", "central"} {
		t.Logf("%s Prometheus: %.0f series, %.0f samples/s, %.1f MB resident, %.1f MB when idle", name, after[i]["prometheus_tsdb_head_series"],
			(groupSum(after[i], appended)-groupSum(before[i], appended))/took, float64(busy[i])/1e6, float64(idle[i])/1e6)
	}
}

const appended = "prometheus_tsdb_head_samples_appended_total"

// own returns the metrics of the regional and the central Prometheus themselves.
func (f *fleet) own(t *testing.T) (m [2]lab.Metrics) {
	t.Helper()
	for i, s := range []*promserver.Server{f.regional, f.global} {
		text, err := s.Text(t.Context(), "/metrics")
		if err == nil {
			m[i], err = lab.ParseMetrics(strings.NewReader(text))
		}
		if err == nil && m[i]["prometheus_tsdb_head_series"] == 0 {
			err = errors.New("no prometheus_tsdb_head_series")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// block returns the first block of code of a language in docs/fleet.md.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, there := strings.Cut(string(text), "```"+language+"\n")
	code, _, closed := strings.Cut(code, "```")
	if !there || !closed {
		t.Fatalf("docs/fleet.md has no block of %s", language)
	}
	return code
}

// docs/fleet.md has a configuration that Prometheus takes, and keeps what the test keeps.
func TestFleetIsAsDocumented(t *testing.T) {
	need.Tool(t, "promtool")
	code := block(t, "yaml")
	if !strings.Contains(code, "regex: '"+fleetKept+"'") {
		t.Errorf("docs/fleet.md keeps other families centrally than %s", fleetKept)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "config", file).CombinedOutput(); err != nil {
		t.Errorf("the configuration of docs/fleet.md: %v\n%s", err, out)
	}
}
