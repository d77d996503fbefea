package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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

// accepted fails the test unless the exporter takes the flags. -version ends it before it looks at the machine.
func accepted(t *testing.T, exe, where string, args []string) {
	t.Helper()
	if len(args) == 0 {
		t.Errorf("%s gives no flags", where)
	}
	for _, arg := range args { // -version ends the check of values, but not that of names and kinds
		if !strings.HasPrefix(arg, "-") {
			t.Errorf("%s: %q is no flag", where, arg)
		}
	}
	if out, err := exec.Command(exe, append(slices.Clone(args), "-version")...).CombinedOutput(); err != nil {
		t.Errorf("%s: %q: %v\n%s", where, args, err, out)
	}
}

// workload is what the test looks at in a DaemonSet and a PodMonitor. Unknown keys pass: the API server checks them.
type workload struct {
	Kind string
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				HostNetwork bool `yaml:"hostNetwork"`
				Containers  []struct {
					Args  []string
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
						HostPort      int `yaml:"hostPort"`
					}
					SecurityContext struct {
						Capabilities             struct{ Add, Drop []string }
						AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
						ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
					} `yaml:"securityContext"`
				}
			}
		}
		PodMetricsEndpoints []struct{ Port, Path string } `yaml:"podMetricsEndpoints"`
	}
}

// TestKubernetes reads the manifest: it is YAML without a key twice, the capture sees the node's network with one
// capability, the exporter takes its flags, and what is scraped is the port that is served.
func TestKubernetes(t *testing.T) {
	text, err := os.ReadFile("kubernetes/tcp-stream-exporter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[string]workload{}
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		if err := yaml.UnmarshalStrict([]byte(part), &map[string]any{}); err != nil { // strict: no key twice
			t.Fatal(err)
		}
		var w workload
		if err := yaml.Unmarshal([]byte(part), &w); err != nil {
			t.Fatal(err)
		}
		byKind[w.Kind] = w
	}
	set, monitor := byKind["DaemonSet"].Spec, byKind["PodMonitor"].Spec
	if len(byKind) != 2 || len(set.Template.Spec.Containers) != 1 || len(monitor.PodMetricsEndpoints) != 1 {
		t.Fatalf("%d kinds, %+v, want a DaemonSet of one container and a PodMonitor of one port", len(byKind), byKind)
	}
	c, metrics := set.Template.Spec.Containers[0], monitor.PodMetricsEndpoints[0]
	if !set.Template.Spec.HostNetwork {
		t.Error("without hostNetwork the pod's own traffic is all there is")
	}
	if s := c.SecurityContext; !slices.Equal(s.Capabilities.Add, []string{"NET_RAW"}) || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) ||
		s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem {
		t.Errorf("rights %+v, want NET_RAW alone, no more to be had, and no file to be written", s)
	}
	for what, labels := range map[string]map[string]string{
		"the DaemonSet selects": set.Selector.MatchLabels, "the PodMonitor selects": monitor.Selector.MatchLabels,
	} {
		for key, value := range labels {
			if set.Template.Metadata.Labels[key] != value {
				t.Errorf("%s %s=%s, which the pods do not have: %v", what, key, value, set.Template.Metadata.Labels)
			}
		}
		if len(labels) == 0 {
			t.Errorf("%s nothing", what)
		}
	}
	if len(c.Ports) != 1 || c.Ports[0].Name != metrics.Port || c.Ports[0].HostPort != c.Ports[0].ContainerPort || metrics.Path != "/metrics" {
		t.Errorf("ports %+v, scraped is %+v", c.Ports, metrics)
	}
	accepted(t, exporter(t), "the DaemonSet", c.Args)
}

// TestManifestPaths wants the paths of the probes and the port in the flags.
func TestManifestPaths(t *testing.T) {
	text, err := os.ReadFile("kubernetes/tcp-stream-exporter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	web, err := os.ReadFile("../app/health.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		if !bytes.Contains(text, []byte("path: "+path+",")) || !bytes.Contains(web, []byte(`"`+path+`"`)) {
			t.Errorf("%s is not both probed and served", path)
		}
	}
	port := regexp.MustCompile(`-port=:(\d+)`).FindSubmatch(text)
	if port == nil || !bytes.Contains(text, []byte("containerPort: "+string(port[1]))) {
		t.Errorf("-port and containerPort differ: %q", port)
	}
}

// TestDockerfile reads the Dockerfile: one layer of the program alone, and nothing that a container from scratch lacks.
// TestImage, with the packages, has an engine build it where there is one.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			got = append(got, line)
		}
	}
	want := []string{
		"FROM scratch",
		"COPY tcp-stream-exporter /tcp-stream-exporter",
		"USER 0:0",
		"EXPOSE 9100",
		`ENTRYPOINT ["/tcp-stream-exporter"]`, // as JSON: there is no shell
	}
	if !slices.Equal(got, want) {
		t.Errorf("instructions %q, want %q", got, want)
	}
}

// TestVyOS wants the exporter to take the flags of the container's configuration.
func TestVyOS(t *testing.T) {
	text, err := os.ReadFile("vyos/container.txt")
	if err != nil {
		t.Fatal(err)
	}
	const set = "set container name tcp-stream-exporter "
	var args []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, set) {
			t.Errorf("line %q, want %s...", line, set)
		}
		if value, ok := strings.CutPrefix(line, set+"arguments "); ok {
			args = strings.Fields(strings.Trim(value, "'"))
		}
	}
	if !strings.Contains(string(text), "\n"+set+"capability 'net-raw'\n") || !strings.Contains(string(text), "\n"+set+"allow-host-networks\n") {
		t.Error("a capture needs the capability net-raw and the host's network")
	}
	accepted(t, exporter(t), "the container", args)
}

// rc stands in for OpenWrt's rc.common, its functions of UCI and those of procd: it prints what procd would be told.
const rc = `
config_load() { test "$1" = tcp-stream-exporter; }
config_foreach() { "$1" main; "$1" off; }
config_get_bool() { if [ "$2" = off ]; then eval "$1=0"; else eval "$1=1"; fi; }
config_list_foreach() {
	sed -n "s/^[[:space:]]*list $2 '\(.*\)'$/\1/p" openwrt/tcp-stream-exporter.config | while read -r value; do "$3" "$value"; done
}
procd_open_instance() { echo "open $*"; }
procd_close_instance() { echo close; }
procd_set_param() { echo "set $*"; }
procd_append_param() { echo "append $*"; }
procd_add_jail() { echo "jail $*"; }
procd_add_reload_trigger() { echo "trigger $*"; }
. openwrt/tcp-stream-exporter.init
`

func TestOpenWrt(t *testing.T) {
	need.Tool(t, "sh")
	run := func(rest string) string {
		t.Helper()
		out, err := exec.Command("sh", "-euc", rc+rest).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	said := run("start_service; service_triggers")
	if !strings.HasPrefix(said, "open main\nset command /usr/bin/tcp-stream-exporter\nappend command -interface=") ||
		strings.Count(said, "open ") != 1 || !strings.HasSuffix(said, "close\ntrigger tcp-stream-exporter\n") {
		t.Errorf("procd is told\n%s", said)
	}
	if strings.Contains(said, "jail") || strings.Contains(said, "set user") {
		t.Errorf("without ujail procd is told of one:\n%s", said)
	}
	var args []string
	for _, m := range regexp.MustCompile(`(?m)^append command (.*)$`).FindAllStringSubmatch(said, -1) {
		args = append(args, m[1])
	}
	accepted(t, exporter(t), "OpenWrt's configuration", args)

	capabilities, err := filepath.Abs("openwrt/tcp-stream-exporter.capabilities")
	if err != nil {
		t.Fatal(err)
	}
	said = run("UJAIL=/bin/sh CAPABILITIES=" + capabilities + "; start_service")
	for _, want := range []string{"jail tcp-stream-exporter procfs sysfs\n", "set user nobody\n", "set no_new_privs 1\n", "set capabilities " + capabilities} {
		if !strings.Contains(said, want) {
			t.Errorf("with ujail procd is told\n%swant %q", said, want)
		}
	}

	file, err := os.Open(capabilities)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var sets map[string][]string
	d := json.NewDecoder(file)
	if err := d.Decode(&sets); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(&sets); !errors.Is(err, io.EOF) {
		t.Errorf("behind the capabilities: %v", err)
	}
	for _, set := range []string{"bounding", "effective", "ambient", "permitted", "inheritable"} {
		if !slices.Equal(sets[set], []string{"CAP_NET_RAW"}) {
			t.Errorf("%s capabilities %q, want CAP_NET_RAW alone", set, sets[set])
		}
	}
}
