package collector

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition"
)

// metricsPage lists every family. Its tables stand between marks; "go test ./collector -run Page -update"
// writes them anew from the tables of families.
const metricsPage = "../docs/metrics.md"

// Marks of a table: the first with the heading that the table stands under.
const (
	tableBegin = "<!-- families: %s -->\n"
	tableEnd   = "<!-- end of families -->\n"
)

// own is a family of the exporter itself, as the page lists it.
type own struct {
	header
	labels []string
}

// ownFamilies returns the exporter's own families in the order of the page.
func ownFamilies() []own {
	var all []own
	all = appendOwn(all, buildFamilies)
	all = appendOwn(all, sampleFamilies)
	all = appendOwn(all, captureFamilies)
	all = appendOwn(all, workerFamilies)
	all = appendOwn(all, lossFamilies)
	for _, h := range []header{scrapeDuration, snapshotDuration, scrapeBytes, streamsExported} {
		all = append(all, own{h, nil})
	}
	all = appendOwn(all, reloadFamilies)
	return appendOwn(all, clientFamilies)
}

func appendOwn[T any](all []own, families []family[T]) []own {
	for i := range families {
		all = append(all, own{families[i].header, families[i].labels})
	}
	return all
}

func readPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMetricsPageHasTheTables(t *testing.T) {
	page := readPage(t)
	var totals strings.Builder
	totals.WriteString("| family | type |\n|---|---|\n")
	for _, h := range exposition.TotalHeaders() {
		fmt.Fprintf(&totals, "| `%s` | %s |\n", h.Name, h.Type)
	}
	want := withTable(t, page, "Totals", totals.String())
	for _, s := range exposition.Sections() {
		var table strings.Builder
		table.WriteString("| family | type | present |\n|---|---|---|\n")
		for _, f := range s.Families {
			fmt.Fprintf(&table, "| `%s` | %s | %s |\n", f.Name, f.Type, f.Present)
		}
		want = withTable(t, want, s.Heading, table.String())
	}
	groups, groupsOwn := exposition.GroupTable()
	var byGroup strings.Builder
	byGroup.WriteString("| family | type | label besides | value |\n|---|---|---|---|\n")
	for i := range groups {
		label := ""
		if f := &groups[i]; f.Label != "" {
			label = "`" + f.Label + "`: `" + strings.Join(f.Values, "`, `") + "`"
		}
		fmt.Fprintf(&byGroup, "| `%s` | %s | %s | %s |\n", groups[i].Name, groups[i].Type, label, described(page, own{header: groups[i].Header}))
	}
	want = withTable(t, want, "Families by group", byGroup.String())
	var table strings.Builder
	table.WriteString("| family | type | labels | |\n|---|---|---|---|\n")
	all := ownFamilies()
	for i := range groupsOwn {
		f := own{header: groupsOwn[i].Header}
		if groupsOwn[i].Label != "" {
			f.labels = []string{groupsOwn[i].Label}
		}
		all = append(all, f)
	}
	for _, f := range all {
		var labels []string
		for _, l := range f.labels {
			labels = append(labels, "`"+l+"`")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.Join(labels, ", "), described(page, f))
	}
	want = withTable(t, want, "The exporter itself", table.String())

	if *update && want != page {
		if err := os.WriteFile(metricsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != page {
		t.Errorf("docs/metrics.md has other tables than the program (go test ./collector -run Page -update writes them anew): it should read\n%s", want)
	}
}

// withTable returns page with a table in the place of the one under heading.
func withTable(t *testing.T, page, heading, table string) string {
	t.Helper()
	begin := fmt.Sprintf(tableBegin, heading)
	before, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	between, rest, marked := strings.Cut(rest, begin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !found || !marked || !ended || strings.Contains(between, "\n## ") {
		t.Fatalf("docs/metrics.md has no table between %q and %q under the heading %q", begin, tableEnd, heading)
	}
	return before + "\n## " + heading + "\n" + between + begin + table + tableEnd + after
}

// described returns the last column of a family in the page, where prose may say more than the help text; of
// a family that the page does not have yet, the help text.
func described(page string, f own) string {
	row := regexp.MustCompile("(?m)^\\| `" + f.Name + "` \\| \\w+ \\| [^|]*\\| (.+) \\|$")
	if m := row.FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return f.Help
}

// The names of families stand in the tables and nowhere else in the program.
func TestFamiliesAreNamedInTheTablesOnly(t *testing.T) {
	name := regexp.MustCompile(`"(tcp_|capture_)\w+"`)
	for _, dir := range []string{".", "../exposition"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || slices.Contains([]string{"families.go", "groupfamilies.go", "totals.go"}, f.Name()) {
				continue
			}
			text, err := os.ReadFile(dir + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if m := name.Find(text); m != nil {
				t.Errorf("%s/%s names the family %s", dir, f.Name(), m)
			}
		}
	}
}
