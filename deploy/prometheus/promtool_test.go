package prometheus_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"

	"tcp-stream-exporter/internal/need"
)

var (
	rules     = []string{"recording.yml", "recording-native.yml", "alerts.yml"}
	ruleTests = []string{"alerts_test.yml", "yesterday_test.yml"}
	configs   = []string{"host.yml", "relabel.yml", "router.yml"}
)

const manual = "../../docs/prometheus.md"

// promtool accepts the rules and their tests pass, and it accepts the scrape configurations.
func TestPromtool(t *testing.T) {
	need.Tool(t, "promtool")
	for name, args := range map[string][]string{
		"rules":      append([]string{"check", "rules"}, rules...),
		"rule tests": append([]string{"test", "rules"}, ruleTests...),
		"host":       {"check", "config", "host.yml"},
		"relabel":    {"check", "config", "relabel.yml"},
		"router":     {"check", "config", "router.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
}

// Every file of the folder is one of those that are checked.
func TestEveryFileIsChecked(t *testing.T) {
	files, err := filepath.Glob("*.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(rules, ruleTests, configs)
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Errorf("there are %v, and %v are checked", files, want)
	}
}

// Every alert has labels by which it can be routed, a summary that names the exporter, and a description; and its
// tests have a time at which it fires and one at which it does not.
func TestEveryAlertIsDescribedAndTested(t *testing.T) {
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, For          string
				Labels, Annotations map[string]string
			}
		}
	}
	decode(t, "alerts.yml", &alerts)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, file := range ruleTests {
		var tests struct {
			Tests []struct {
				Cases []struct {
					Alert  string `yaml:"alertname"`
					Alerts []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		decode(t, file, &tests)
		for _, test := range tests.Tests {
			for _, c := range test.Cases {
				if len(c.Alerts) > 0 {
					fires[c.Alert] = true
				} else {
					quiet[c.Alert] = true
				}
			}
		}
	}
	page, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			n++
			if severity := r.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s has severity %q, want critical or warning", r.Alert, severity)
			}
			if area := r.Labels["area"]; area != "capture" && area != "traffic" {
				t.Errorf("%s has area %q, want capture or traffic", r.Alert, area)
			}
			if !strings.Contains(r.Annotations["summary"], "$labels.instance") {
				t.Errorf("%s has a summary that does not name the exporter: %q", r.Alert, r.Annotations["summary"])
			}
			if len(r.Annotations["description"]) < 80 || r.For == "" {
				t.Errorf("%s has the description %q and waits for %q, want a remedy and a time", r.Alert, r.Annotations["description"], r.For)
			}
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s: a test in which it fires: %v, and in which it does not: %v; want both", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
			if !strings.Contains(string(page), "| `"+r.Alert+"` |") {
				t.Errorf("docs/prometheus.md has no row of %s", r.Alert)
			}
		}
	}
	if n < 10 {
		t.Errorf("alerts.yml has %d alerts: it was not read", n)
	}
}

// The configurations in the manual are accepted: by promtool where Prometheus' own format is in them, otherwise they are
// YAML.
func TestRecipes(t *testing.T) {
	need.Tool(t, "promtool")
	page, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		var content map[string]any
		if err := yaml.UnmarshalStrict(b[1], &content); err != nil {
			t.Errorf("%v:\n%s", err, b[1])
		}
	}
	blocks := regexp.MustCompile("(?s)```yaml\n# (\\S+)[^\n]*\n(.*?)```").FindAllSubmatch(page, -1)
	checked := map[string]bool{}
	for _, b := range blocks {
		name, text := string(b[1]), b[2]
		checked[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"check", "config"}
			switch name {
			case "agent.yml":
				args = append(args, "--agent")
			case "otelcol.yml": // the receiver's configuration is Prometheus'
				var c struct {
					Receivers struct {
						Prometheus struct{ Config map[string]any }
					}
					Exporters map[string]any
					Service   struct {
						Pipelines struct {
							Metrics struct{ Receivers, Exporters []string }
						}
					}
				}
				if err := yaml.UnmarshalStrict(text, &c); err != nil {
					t.Fatal(err)
				}
				for _, e := range c.Service.Pipelines.Metrics.Exporters {
					if c.Exporters[e] == nil {
						t.Errorf("the pipeline has the exporter %s, which is not configured", e)
					}
				}
				if text, err = yaml.Marshal(c.Receivers.Prometheus.Config); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Contains(text, []byte("metrics_path: /metrics/summary")) {
				t.Errorf("nothing scrapes the summary:\n%s", text)
			}
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), "promtool", append(args, file)...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
	for _, name := range []string{"agent.yml", "otelcol.yml", "vmagent.yml"} {
		if !checked[name] {
			t.Errorf("the manual has no block of YAML that begins with the line # %s", name)
		}
	}
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
