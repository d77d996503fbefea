package scrapetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// variable is a dashboard's variable in an expression.
var variable = regexp.MustCompile(`\$\{?(\w+)\}?`)

type gridPos struct{ X, Y, W, H int }

func (a gridPos) overlaps(b gridPos) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

type dashboardJSON struct {
	Title, UID, Description string
	Templating              struct {
		List []struct {
			Name, Type string
			Query      string
		}
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  gridPos
		Datasource               struct{ UID string }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct{ RefID, Expr string }
		Panels                   []any // of a row that is folded
	}
}

// Each panel of a dashboard has a description, a unit, and queries that the current Prometheus parses, of families that
// there are and of variables that the dashboard has; none lies upon another.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("there are the dashboards %v (%v), want two", files, err)
	}
	n := newNames(t)
	uids := map[string]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var d dashboardJSON
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
			if d.Title == "" || d.Description == "" || d.UID == "" || uids[d.UID] {
				t.Errorf("title %q, description %q, uid %q: want all of them, and another uid than the others", d.Title, d.Description, d.UID)
			}
			uids[d.UID] = true
			variables := map[string]bool{"__rate_interval": true}
			for _, v := range d.Templating.List {
				variables[v.Name] = true
				if values, is := strings.CutPrefix(v.Query, "label_values("); is {
					series, _, _ := strings.Cut(strings.TrimSuffix(values, ")"), ", ")
					for _, fault := range n.faults(variable.ReplaceAllString(series, "x")) {
						t.Errorf("variable %s: %s", v.Name, fault)
					}
				}
			}
			queries := 0
			ids := map[int]bool{}
			for i, p := range d.Panels {
				if ids[p.ID] || p.ID == 0 {
					t.Errorf("panel %q has the id %d, want one of its own", p.Title, p.ID)
				}
				ids[p.ID] = true
				if p.GridPos.W <= 0 || p.GridPos.H <= 0 || p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
					t.Errorf("panel %q is at %+v, outside of the grid", p.Title, p.GridPos)
				}
				for _, q := range d.Panels[:i] {
					if p.GridPos.overlaps(q.GridPos) {
						t.Errorf("panel %q at %+v lies upon %q at %+v", p.Title, p.GridPos, q.Title, q.GridPos)
					}
				}
				if p.Title == "" || len(p.Panels) > 0 {
					t.Errorf("panel %d has the title %q and %d panels, want one and none", p.ID, p.Title, len(p.Panels))
				}
				if p.Type == "row" {
					continue
				}
				if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
					t.Errorf("panel %q has the description %q, unit %q, data source %q and %d queries, want all of them",
						p.Title, p.Description, p.FieldConfig.Defaults.Unit, p.Datasource.UID, len(p.Targets))
				}
				for _, q := range p.Targets {
					queries++
					for _, name := range variable.FindAllStringSubmatch(q.Expr, -1) {
						if !variables[name[1]] {
							t.Errorf("panel %q has the variable %s, which the dashboard has not: %s", p.Title, name[0], q.Expr)
						}
					}
					expr := variable.ReplaceAllString(strings.ReplaceAll(q.Expr, "$__rate_interval", "5m"), "x")
					for _, fault := range n.faults(expr) {
						t.Errorf("panel %q: %s: %s", p.Title, fault, q.Expr)
					}
				}
			}
			if queries < 20 {
				t.Errorf("%d queries, want those of a dashboard", queries)
			}
		})
	}
}
