package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
)

const patience = 30 * time.Second

// demo is a running demo.
type demo struct {
	cmd   *exec.Cmd
	temp  string // its TMPDIR
	out   buffer
	ended chan struct{}
}

type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// binDir holds the programs that the tests run.
var binDir string

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "demo-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(binDir) // a folder for temporary files
	os.Exit(status)
}

var build = sync.OnceValue(func() error {
	for name, args := range map[string][]string{"demo": {"-C", ".", "-buildvcs=false"}, "exporter": {"-C", "../../..", "-buildvcs=false"}} {
		args = append(append([]string{"build"}, args...), "-o", filepath.Join(binDir, name), ".")
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
})

// programs returns the paths of the demo and the exporter, which are built for the first test that asks.
func programs(t *testing.T) (program, exporter string) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "prometheus")
	need.File(t, "/dev/net/tun")
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(binDir, "demo"), filepath.Join(binDir, "exporter")
}

// launch starts a demo on free ports.
func launch(t *testing.T, program, temp string, args ...string) *demo {
	t.Helper()
	d := &demo{temp: temp, ended: make(chan struct{})}
	d.cmd = exec.Command(program, append([]string{"-exporter-at", "127.0.0.1:0", "-prometheus-at", "127.0.0.1:0"}, args...)...)
	d.cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.WaitDelay = time.Second // what it started has its output too
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // the state says it
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // none that has ended
		<-d.ended
		if t.Failed() {
			t.Logf("the demo said:\n%s", d.out.String())
		}
	})
	return d
}

// stop sends a signal and returns the exit status.
func (d *demo) stop(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	return d.status(t)
}

func (d *demo) status(t *testing.T) int {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("the demo has not ended after %v", patience)
	}
	return d.cmd.ProcessState.ExitCode()
}

// nothingLeft wants no namespace, no process and no file of a demo.
func (d *demo) nothingLeft(t *testing.T) {
	t.Helper()
	if names, _ := filepath.Glob(fmt.Sprintf("/run/netns/lab-%d-*", d.cmd.Process.Pid)); len(names) > 0 {
		t.Errorf("namespaces are left: %q", names)
	}
	if files, _ := filepath.Glob(filepath.Join(d.temp, "*")); len(files) > 0 {
		t.Errorf("files are left: %q", files)
	}
	if left := d.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// processes returns the command lines of the processes that a demo has started: their environment has its TMPDIR.
func (d *demo) processes() (left []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		if env, err := os.ReadFile(file); err != nil || !strings.Contains(string(env), "TMPDIR="+d.temp+"\x00") || strings.HasPrefix(file, fmt.Sprintf("/proc/%d/", d.cmd.Process.Pid)) {
			continue
		}
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")); err == nil && len(line) > 0 {
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

// await waits until the output has a match, and returns its first group.
func (d *demo) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if m := re.FindStringSubmatch(d.out.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-d.ended:
			t.Fatalf("the demo has ended: %v", d.cmd.ProcessState)
		default:
		}
	}
	t.Fatalf("the demo does not say %s", pattern)
	return ""
}

// query returns what Prometheus answers: values by their labels.
func query(at, expr string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status string
		Data   struct {
			Result []struct {
				Metric map[string]string
				Value  [2]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("%s: %v: %.300s", expr, err, body)
	}
	values := make(map[string]float64)
	for _, r := range answer.Data.Result {
		var v float64
		if _, err := fmt.Sscanf(strings.Trim(string(r.Value[1]), `"`), "%g", &v); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", expr, body, err)
		}
		values[fmt.Sprint(r.Metric)] = v
	}
	return values, nil
}

// Delay and loss show on their legs: 10 ms each way to the clients, who lose packets both ways, 30 ms to the server. What
// the clients send is lost before it comes to the router, as gaps, what they receive behind it. All queries that are
// printed have an answer. After SIGINT nothing is left.
func TestDemo(t *testing.T) {
	program, exporter := programs(t)
	rules := t.TempDir()
	for name, text := range map[string]string{
		"a.yml": "groups:\n- name: test\n  interval: 1s\n  rules:\n  - {record: 'test:up', expr: 'count(up == 1)'}\n", "prometheus.yml": "scrape_configs: []\n",
	} {
		if err := os.WriteFile(filepath.Join(rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	d := launch(t, program, t.TempDir(), "-exporter", exporter, "-rules", rules, "-loss-to-clients", "0.03", "-loss-from-clients", "0.03")
	page, prometheus := d.await(t, `exporter +http://(\S+)/\n`), d.await(t, `Prometheus +http://([^/]+)/`)
	t.Logf("ready after %v", time.Since(begin))
	if resp, err := http.Get("http://" + page + "/"); err != nil || resp.StatusCode != 200 {
		t.Fatalf("the exporter's page: %v, %v", resp, err)
	} else {
		_ = resp.Body.Close() // it is there
	}
	for _, row := range []struct {
		expr        string
		least, most float64
	}{
		{`test:up`, 2, 2},
		{`sum(tcp_group_rtt_seconds_sum{leg="client"}) / sum(tcp_group_rtt_seconds_count{leg="client"})`, 0.020, 0.028},
		{`sum(tcp_group_rtt_seconds_sum{leg="server"}) / sum(tcp_group_rtt_seconds_count{leg="server"})`, 0.060, 0.110}, // uploads' ACKs are delayed
		{`sum(tcp_group_sequence_gaps_total{direction="from_client"})`, 1, 1e9},
		{`sum(tcp_group_retransmitted_packets_total{direction="from_server"})`, 5, 1e9},
		{`sum(tcp_group_sequence_gaps_total{direction="from_server"})`, 0, 0},
	} {
		t.Log(row.expr, awaitAnswer(t, d, prometheus, row.expr, row.least, row.most))
	}
	printed := regexp.MustCompile(`(?m)^  # .*\n  (.*)$`).FindAllStringSubmatch(d.out.String(), -1)
	if len(printed) != len(queries) {
		t.Errorf("%d queries are printed, want %d", len(printed), len(queries))
	}
	for _, q := range printed {
		awaitAnswer(t, d, prometheus, q[1], -1e9, 1e12)
	}
	if n := len(d.processes()); n != 2 {
		t.Errorf("%d processes beside the demo, want the exporter and Prometheus: the test would see none left", n)
	}
	if status := d.stop(t, syscall.SIGINT); status != 0 {
		t.Errorf("exit status %d after SIGINT, want 0", status)
	}
	d.nothingLeft(t)
}

// awaitAnswer waits until all values of a query are within bounds, and there is one.
func awaitAnswer(t *testing.T, d *demo, prometheus, expr string, least, most float64) map[string]float64 {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		values, err := query(prometheus, expr)
		within := err == nil && len(values) > 0
		for _, v := range values {
			within = within && v >= least && v <= most
		}
		if within {
			return values
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v, %v; want %v to %v", expr, values, err, least, most)
		}
	}
}

// Whatever ends a demo, it leaves nothing, or the next one removes it.
func TestDemoLeavesNothing(t *testing.T) {
	program, exporter := programs(t)
	temp := t.TempDir()

	killed := launch(t, program, temp, "-exporter", exporter)
	killed.await(t, `(Prometheus) `)
	killed.stop(t, syscall.SIGKILL)
	for end := time.Now().Add(patience); len(killed.processes()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("processes outlive SIGKILL: %q", killed.processes())
		}
	}

	broken := launch(t, program, temp, "-exporter", "/bin/false")
	if status := broken.status(t); status != 1 || strings.Count(broken.out.String(), "\n") != 1 || !strings.Contains(broken.out.String(), "-exporter /bin/false: ended at once") {
		t.Errorf("an exporter that ends: status %d, want 1 and a line", status)
	}
	broken.nothingLeft(t)
	killed.nothingLeft(t) // swept

	halfWay := launch(t, program, temp, "-exporter", exporter)
	for end := time.Now().Add(patience); len(halfWay.processes()) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if status := halfWay.stop(t, syscall.SIGTERM); status != 0 || strings.Contains(halfWay.out.String(), "Prometheus") {
		t.Errorf("SIGTERM half-way: status %d, want 0 before it is ready", status)
	}
	halfWay.nothingLeft(t)
}

func TestSaysWhatIsWrongWithItsFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x": `unexpected argument "x"`, "-clients 0": "-clients 0: want", "-loss-to-clients 2": "-loss-to-clients", "-server-delay -1s": "-server-delay",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
