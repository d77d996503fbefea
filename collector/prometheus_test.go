package collector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/internal/need"
)

// A real Prometheus scrapes the handler, and its query API is asked for every family: as it asks by
// itself, for compressed OpenMetrics, and as if it asked for nothing, which gets it plain text.
func TestARealPrometheusScrapes(t *testing.T) {
	need.Tool(t, "prometheus")
	t.Run("OpenMetrics, gzip", func(t *testing.T) {
		prometheusScrapes(t, expositiontest.OpenMetricsType, gzipCoding, func(*http.Request) {})
	})
	t.Run("text, plain", func(t *testing.T) {
		prometheusScrapes(t, expositiontest.TextType, "", func(r *http.Request) {
			r.Header.Del("Accept")
			r.Header.Del("Accept-Encoding")
		})
	})
}

func prometheusScrapes(t *testing.T, format, coding string, change func(*http.Request)) {
	views := expositiontest.Fixed()
	h := New(&fakeSource{views: views, stats: totals(11, 12, 13)}, Options{})
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change(r)
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, format) {
			t.Errorf("the answer is %q, want %q", got, format)
		}
		if got := w.Header().Get("Content-Encoding"); got != coding {
			t.Errorf("the answer is coded as %q, want %q", got, coding)
		}
	}))
	defer exporter.Close()
	api := startPrometheus(t, exporter.Listener.Addr().String())

	want := expositiontest.Expected(views)
	want["tcp_stream_count"] = 2
	want["capture_packets_processed_total"] = 11
	want["capture_dropped_packets_total"] = 12
	want["capture_queue_freezes_total"] = 13

	var targets struct {
		ActiveTargets []struct{ Health, LastError string }
	}
	await(t, "the first scrape", func() bool {
		return api.get("/api/v1/targets", &targets) == nil && len(targets.ActiveTargets) == 1 && targets.ActiveTargets[0].Health != "unknown"
	})
	if got := targets.ActiveTargets[0]; got.Health != "up" || got.LastError != "" {
		t.Fatalf("the target is %s: %s", got.Health, got.LastError)
	}

	got := map[string]float64{}
	for _, c := range expositiontest.Contract {
		var meta map[string][]struct{ Type, Help string }
		family := c.Name
		if format == expositiontest.OpenMetricsType && c.Type == "counter" { // Prometheus keeps it under the name in the header
			family = strings.TrimSuffix(family, "_total")
		}
		if err := api.get("/api/v1/metadata?metric="+family, &meta); err != nil {
			t.Fatal(err)
		}
		if m := meta[family]; len(m) != 1 || m[0].Type != c.Type || m[0].Help == "" {
			t.Errorf("%s: Prometheus knows %v, want a %s with a help text", c.Name, m, c.Type)
		}
		var result struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
		await(t, c.Name, func() bool {
			err := api.get("/api/v1/query?query="+url.QueryEscape(c.Name), &result)
			return err == nil && len(result.Result) > 0
		})
		for _, r := range result.Result {
			x, err := strconv.ParseFloat(r.Value[1].(string), 64)
			if err != nil {
				t.Fatal(err)
			}
			m := r.Metric
			series := m["__name__"]
			labels := 3 // name, job, instance
			if c.PerStream {
				series += `{dst_ip="` + m["dst_ip"] + `",dst_port="` + m["dst_port"] + `",src_ip="` + m["src_ip"] +
					`",src_port="` + m["src_port"] + `",state="` + m["state"] + `"}`
				labels += 5
			}
			if len(m) != labels {
				t.Errorf("%v has %d labels, want %d", m, len(m), labels)
			}
			got[series] = x
		}
	}
	expositiontest.SameSeries(t, got, want)
}

// prometheusAPI is the address of a running Prometheus.
type prometheusAPI string

// get asks the API for path and decodes the data of its answer.
func (p prometheusAPI) get(path string, data any) error {
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Get(string(p) + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Status string
		Error  string
		Data   any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// startPrometheus runs Prometheus on a free loopback port, with its data in a folder of the test,
// scraping target every second. It is stopped when the test ends.
func startPrometheus(t *testing.T, target string) prometheusAPI {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n- job_name: streams\n  static_configs:\n  - targets: ['%s']\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("prometheus", "--config.file="+config, "--web.listen-address="+listen,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	// Not to outlive a test that is killed. The signal comes when the starting thread ends, so the
	// thread is kept.
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed below: its error says only that
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only if it has ended by itself
		<-ended
		if t.Failed() {
			t.Logf("prometheus said:\n%s", log.String())
		}
	})
	api := prometheusAPI("http://" + listen)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var build struct{ Version string }
		if api.get("/api/v1/status/buildinfo", &build) == nil {
			t.Logf("Prometheus %s", build.Version)
			return api
		}
		select {
		case <-ended:
			t.Fatal("prometheus ended at once")
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("prometheus does not answer after %v", patience)
		}
	}
}
