package fence

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "tcp-stream-exporter"

// TestProject is the lint rule itself: it runs over the module's own files.
func TestProject(t *testing.T) {
	root := "../.."
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+module+"\n") {
		t.Fatalf("%s is not the root of module %s: %v", root, module, err)
	}
	violations, err := Check(root, module, Project)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestRulesBite writes one file into an otherwise empty module and wants exactly the named answer.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		name, file, source string
		want               string // start of the only violation; empty: none
	}{
		{"unsafe in the ring is allowed", "ring/abi_unsafe.go", `import "unsafe"`, ""},
		{"its file says so", "ring/abi.go", `import "unsafe"`, `ring/abi.go:2: imports "unsafe": only files named *_unsafe.go or *_cgo.go may`},
		{"at the end of its name", "ring/unsafe_abi.go", `import "unsafe"`, `ring/unsafe_abi.go:2: imports "unsafe": only files named`},
		{"behind more than the word", "table/notunsafe.go", `import "unsafe"`, `table/notunsafe.go:2: imports "unsafe": only files named`},
		{"a test's file, too", "table/slab_test.go", `import "unsafe"`, `table/slab_test.go:2: imports "unsafe": only files named`},
		{"before _test", "table/slab_unsafe_test.go", `import "unsafe"`, ""},
		{"unsafe in the parser is not", "parse/tcp.go", "import (\n\t\"fmt\"\n\t\"unsafe\"\n)", `parse/tcp.go:4: imports "unsafe": allowed only in ring, table, cgo/pcapfilter`},
		{"unsafe under another name is still unsafe", "web/a.go", `import u "unsafe"`, `web/a.go:2: imports "unsafe"`},
		{"unsafe in a test is not allowed either", "parse/tcp_test.go", `import "unsafe"`, `parse/tcp_test.go:2: imports "unsafe"`},
		{"unsafe in a file for another system is seen", "parse/tcp_plan9.go", "//go:build plan9\nimport _ \"unsafe\"", `parse/tcp_plan9.go:3: imports "unsafe"`},
		{"unsafe in a package below an allowed one is not", "ring/sub/a_test.go", `import "unsafe"`, `ring/sub/a_test.go:2: imports "unsafe"`},
		{"cgo in the filter is allowed", "cgo/pcapfilter/pcap_cgo.go", "// #include <pcap.h>\nimport \"C\"", ""},
		{"unsafe beside it", "cgo/pcapfilter/pcap_cgo.go", "// #include <pcap.h>\nimport \"C\"\nimport \"unsafe\"", ""},
		{"its file says so, as well", "cgo/pcapfilter/pcap_unsafe.go", `import "C"`, `cgo/pcapfilter/pcap_unsafe.go:2: imports "C": only files named *_cgo.go may`},
		{"cgo in the ring is not", "ring/poll.go", `import "C"`, `ring/poll.go:2: imports "C": allowed only in cgo/pcapfilter`},
		{"testdata is left out", "parse/testdata/x.go", `import "unsafe"`, ""},
		{"a nested module is left out", "bench/x.go", `import "unsafe"`, ""},

		{"capture imports the worker", "capture/capture.go", `import "tcp-stream-exporter/worker"`, ""},
		{"capture may skip a layer", "capture/worker.go", `import "tcp-stream-exporter/parse"`, ""},
		{"the parser imports no project package", "parse/tcp.go", `import "tcp-stream-exporter/wheel"`, `parse/tcp.go:2: imports "tcp-stream-exporter/wheel": imports run down only`},
		{"nor the filter, low as it is", "parse/tcp.go", `import "tcp-stream-exporter/cgo/pcapfilter"`, `parse/tcp.go:2: imports "tcp-stream-exporter/cgo/pcapfilter": only app, offline may`},
		{"the ring does not know the wheel", "ring/ring.go", `import "tcp-stream-exporter/wheel"`, `ring/ring.go:2: imports "tcp-stream-exporter/wheel": imports run down only`},
		{"the worker knows no ring", "worker/worker.go", `import "tcp-stream-exporter/ring/block"`, `worker/worker.go:2: imports "tcp-stream-exporter/ring/block": package without a layer`},
		{"nor the ring's own", "worker/worker.go", `import "tcp-stream-exporter/ring"`, `worker/worker.go:2: imports "tcp-stream-exporter/ring": only app, check, capture may`},
		{"files are read without a capture", "offline/offline.go", `import "tcp-stream-exporter/capture"`, `offline/offline.go:2: imports "tcp-stream-exporter/capture": only app, check may`},
		{"the web server knows no capture", "web/mux.go", `import "tcp-stream-exporter/capture"`, `web/mux.go:2: imports "tcp-stream-exporter/capture": only app, check may`},
		{"main knows the program alone", "main.go", `import "tcp-stream-exporter/capture"`, `main.go:2: imports "tcp-stream-exporter/capture": only app, check may`},
		{"nothing imports the program", "web/mux.go", `import "tcp-stream-exporter/app"`, `web/mux.go:2: imports "tcp-stream-exporter/app": imports run down only`},
		{"capture does not know the collector", "capture/worker.go", `import "tcp-stream-exporter/collector"`, `capture/worker.go:2: imports "tcp-stream-exporter/collector": imports run down only`},
		{"the program compiles the filter", "app/start.go", `import "tcp-stream-exporter/cgo/pcapfilter"`, ""},
		{"test helpers stay out of the program", "capture/worker.go", `import "tcp-stream-exporter/internal/need"`, `capture/worker.go:2: imports "tcp-stream-exporter/internal/need": imports run down only`},
		{"tests use them", "capture/worker_test.go", `import "tcp-stream-exporter/internal/need"`, ""},
		{"test helpers use one another", "internal/lab/ns.go", `import "tcp-stream-exporter/internal/need"`, ""},

		{"capture logs", "capture/worker.go", `import "log/slog"`, ""},
		{"the table does not log", "table/table.go", `import "log/slog"`, `table/table.go:2: imports "log/slog": table is below capture/`},
		{"the stream knows no Prometheus", "stream/s.go", `import "github.com/prometheus/client_golang/prometheus"`, `stream/s.go:2: imports "github.com/prometheus/client_golang/prometheus": stream is below`},
		{"the filter serves no HTTP", "cgo/pcapfilter/p.go", `import "net/http"`, `cgo/pcapfilter/p.go:2: imports "net/http"`},
		{"a package whose name only begins like a banned one is free", "table/t.go", `import "logic"`, ""},

		{"a panic over what comes from outside", "collector/own.go", "import p \"github.com/prometheus/client_golang/prometheus\"\nfunc f(s string) { p.MustNewConstMetric(nil, 0, 0, s) }", "collector/own.go:3: calls MustNewConstMetric, which panics"},
		{"a method that panics", "main.go", "func f(r interface{ MustRegister(any) }) { r.MustRegister(1) }", "main.go:2: calls MustRegister, which panics"},
		{"constants may panic", "web/page.go", "import \"regexp\"\nvar re = regexp.MustCompile(`a`)", ""},
		{"tests may panic", "web/page_test.go", "import \"regexp\"\nfunc f() { regexp.MustCompile(`a`) }", ""},
		{"one file registers constants", "collector/registry.go", "func f(r interface{ MustRegister(any) }) { r.MustRegister(1) }", ""},

		{"a package without a layer is reported", "shiny/new.go", `import "fmt"`, "shiny: package without a layer"},
		{"a folder of tests alone needs none", "deploy/unit_test.go", `import "fmt"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, filepath.Join(root, "go.mod"), "module "+module+"\n")
			write(t, filepath.Join(root, "bench", "go.mod"), "module bench\n")
			write(t, filepath.Join(root, c.file), "package p\n"+c.source+"\n")
			got, err := Check(root, module, Project)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(got) != 0:
				t.Errorf("got %v, want none", got)
			case c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].String(), c.want)):
				t.Errorf("got %v\nwant %s…", got, c.want)
			}
		})
	}
}

// TestUnreadable wants an error, not silence, for a file that does not parse.
func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "parse", "a.go"), "package p\nimport unsafe\n")
	if _, err := Check(root, module, Project); err == nil {
		t.Error("a file that does not parse passed")
	}
}

// TestProjectSeesFiles guards TestProject against a walk that finds nothing: with "testing" fenced
// off, this very file must come up.
func TestProjectSeesFiles(t *testing.T) {
	strict := Project
	strict.Fenced = map[string][]string{"testing": nil}
	got, err := Check("../..", module, strict)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(got, func(v Violation) bool {
		return strings.HasPrefix(v.Pos, "internal/fence/fence_test.go:")
	}) {
		t.Errorf("this file's own import of testing was not seen: %v", got)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
