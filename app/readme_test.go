package app

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// root is the folder of the documents.
const root = ".."

// The documents are held against the program, so that neither changes without the other.

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFlagsPageShowsTheHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseFlags([]string{"-help"}, &help); !errors.Is(err, errHelp) {
		t.Fatalf("-help: error %v, want %v", err, errHelp)
	}
	want := strings.ReplaceAll(help.String(), "\t", "    ") // as package flag indents
	_, block, found := strings.Cut(readDoc(t, "docs/flags.md"), "\n```text\nUsage of ")
	block, _, ended := strings.Cut("Usage of "+block, "```")
	if !found || !ended {
		t.Fatal("docs/flags.md has no block of text that begins with the first line of -help")
	}
	if block != want {
		t.Errorf("docs/flags.md shows another -help than the program's.\n\ndocs/flags.md:\n%s\nprogram:\n%s", block, want)
	}
}

// oneOfAll is a source of one stream with every figure.
type oneOfAll struct{}

func (oneOfAll) Snapshot(_ context.Context, s *worker.Snapshot) error {
	all := stream.HasRate | stream.HasDelay | stream.HasBitrate | stream.HasSize | stream.HasInterarrival
	s.Views = []stream.View{{Has: all}}
	s.Extras = []stream.Extra{{Syn: 1, MSS: 1}}
	return nil
}

// oneGroup is a source of one combination of groups.
type oneGroup struct{}

func (oneGroup) Groups(_ context.Context, r *group.Reading) error {
	r.Rows = []group.Row{{Totals: group.Totals{Opened: 1, Established: 1}}}
	return nil
}

func TestDocsListEveryFamily(t *testing.T) {
	answer := httptest.NewRecorder()
	groups, err := exposition.ChooseGroupFamilies(".*")
	if err != nil {
		t.Fatal(err)
	}
	h := collector.New(oneOfAll{}, collector.Options{Families: exposition.AllFamilies(), Groups: oneGroup{}, GroupFamilies: groups})
	lost := loss.Figures{Links: make([]loss.Link, 1), Softnet: true}
	h.Registry().MustRegister(collector.Own(func() (s worker.Stats) { return s }, func(s *worker.Stats) []collector.Interface {
		return []collector.Interface{{Name: "eth0", Up: s.InterfaceUp, Named: true, Exists: true}}
	}),
		collector.Workers(func() []uint64 { return []uint64{1} }), collector.BuildInfo("", "", ""), collector.Sample(1), collector.GroupReloads(func() (g collector.GroupReload) { return g }),
		collector.Losses(func() loss.Figures { return lost }), h.Durations(),
		h.Clients(func() (refused, stalled, idle uint64) { return 0, 0, 0 }))
	h.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	exported := map[string]string{} // name → type
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(answer.Body.String(), -1) {
		exported[m[1]] = m[2]
	}
	if len(exported) < 23 {
		t.Fatalf("the scrape has %d families, want at least the 23 that always were:\n%s", len(exported), answer.Body)
	}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (counter|gauge|histogram) \\|")
	const doc = "docs/metrics.md"
	listed := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(readDoc(t, doc), -1) {
		if listed[m[1]] != "" {
			t.Errorf("%s lists %s twice", doc, m[1])
		}
		listed[m[1]] = m[2]
	}
	for name, kind := range exported {
		if listed[name] != kind {
			t.Errorf("%s lists %s with type %q, want %q", doc, name, listed[name], kind)
		}
	}
	for name := range listed {
		if exported[name] == "" {
			t.Errorf("%s lists %s, which is not exported", doc, name)
		}
	}
}

// A page that is read from top to bottom stays short; what does not fit belongs in docs/.
func TestReadmeIsShort(t *testing.T) {
	const most = 150
	if lines := strings.Count(readDoc(t, "README.md"), "\n"); lines > most {
		t.Errorf("README.md has %d lines, want at most %d", lines, most)
	}
}

// documents returns the Markdown files of the module, without those of the modules below it.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*.md", "bench/*.md"} {
		some, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range some {
			all = append(all, strings.TrimPrefix(doc, root+"/"))
		}
	}
	return all
}

func TestDocLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	links := 0
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(readDoc(t, doc)), -1) {
			if strings.Contains(m[1], "://") {
				continue // other people's pages: no test depends on the network
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := doc
			if file != "" {
				target = filepath.Join(filepath.Dir(doc), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			} else if anchor != "" && !hasAnchor(readDoc(t, target), anchor) {
				t.Errorf("%s links to %s: %s has no such heading", doc, m[1], target)
			}
		}
	}
	if links == 0 {
		t.Error("no links found in the documents: the test looks at nothing")
	}
}

// withoutCode drops fenced blocks, where brackets are no links and # begins no heading.
func withoutCode(text string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
}

// hasAnchor reports whether a document has a heading whose anchor this is, made as GitHub and GitLab
// do: lower case, without punctuation, hyphens for spaces.
func hasAnchor(text, anchor string) bool {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(withoutCode(text), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '-':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		if slug == anchor {
			return true
		}
	}
	return false
}
