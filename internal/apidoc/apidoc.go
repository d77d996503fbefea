// Package apidoc lets tests hold docs/api.md against the structs that are written as JSON, so that no field is left out
// there and none is named that does not exist.
package apidoc

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Part is a part of the page, as Markdown.
type Part string

// Read returns a section of the page, without its heading: "## /api/v1/status" up to the next one of that level.
func Read(t testing.TB, heading string) Part {
	t.Helper()
	return readPage(t, "api.md").Below(t, heading).until("\n## ")
}

func readPage(t testing.TB, name string) Part {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return Part(text)
}

// Below returns what stands below the first line that begins with the given text.
func (p Part) Below(t testing.TB, line string) Part {
	t.Helper()
	_, rest, found := strings.Cut("\n"+string(p), "\n"+line)
	if !found {
		t.Fatalf("no line of docs/api.md begins with %q", line)
	}
	_, rest, _ = strings.Cut(rest, "\n")
	return Part(rest)
}

// Paragraph returns the first paragraph, or item of a list, that begins with the given text.
func (p Part) Paragraph(t testing.TB, begin string) Part {
	t.Helper()
	_, rest, found := strings.Cut("\n"+string(p), "\n"+begin)
	if !found {
		t.Fatalf("no paragraph of docs/api.md begins with %q", begin)
	}
	return Part(begin + rest).until("\n\n").until("\n- ")
}

func (p Part) until(end string) Part {
	before, _, _ := strings.Cut(string(p), end)
	return Part(before)
}

var (
	fence  = regexp.MustCompile("(?ms)^```.*?^```$") // examples
	quoted = regexp.MustCompile("`([^`]+)`")
	named  = regexp.MustCompile(`^([a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*|0\.[0-9]+)$`) // 0.5, a quantile
)

// Names returns what the part has between backticks, outside of examples, and looks like the name of a field, sorted, each
// once. Of a path such as totals.bits_per_second it returns each name.
func (p Part) Names() []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(fence.ReplaceAllString(string(p), ""), -1) {
		switch {
		case !named.MatchString(m[1]):
		case strings.HasPrefix(m[1], "0."):
			all = append(all, m[1])
		default:
			all = append(all, strings.Split(m[1], ".")...)
		}
	}
	return unique(all)
}

// Table holds the rows of a table by the cells' texts, without its head.
type Table [][]Part

// Table returns the first table of the part whose first column has the given heading.
func (p Part) Table(t testing.TB, heading string) Table {
	t.Helper()
	var rows Table
	inside := false
	for line := range strings.Lines(string(p)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| "+heading+" |"):
			inside = true
		case inside && !strings.HasPrefix(line, "|"):
			return rows
		case inside && !strings.HasPrefix(line, "|---"):
			var row []Part
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				row = append(row, Part(strings.TrimSpace(cell)))
			}
			rows = append(rows, row)
		}
	}
	if !inside {
		t.Fatalf("no table of docs/api.md begins with the column %q in:\n%s", heading, p)
	}
	return rows
}

// Names returns the names in the first column, as Part.Names does.
func (rows Table) Names() []string {
	var all []string
	for _, row := range rows {
		all = append(all, row[0].Names()...)
	}
	return unique(all)
}

// Value returns what stands beside a name.
func (rows Table) Value(t testing.TB, name string) Part {
	t.Helper()
	for _, row := range rows {
		if slices.Contains(row[0].Names(), name) {
			return row[1]
		}
	}
	t.Fatalf("no row of docs/api.md is about %q: there are %q", name, rows.Names())
	return ""
}

// Fields returns the names that a struct's own fields have in JSON, sorted. A field without a name is a fault of the test's
// subject, and panics.
func Fields[T any]() []string {
	var all []string
	for field := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			panic(fmt.Sprintf("apidoc: %v.%s has no name for JSON", reflect.TypeFor[T](), field.Name))
		}
		all = append(all, name)
	}
	return unique(all)
}

// Structs returns the names of all structs with fields for JSON that are reached from T, T among them, sorted.
func Structs[T any]() []string {
	seen := map[reflect.Type]bool{}
	var visit func(of reflect.Type)
	visit = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(of.Elem())
		case reflect.Struct:
			if !seen[of] {
				seen[of] = true
				for field := range of.Fields() {
					visit(field.Type)
				}
			}
		}
	}
	visit(reflect.TypeFor[T]())
	var all []string
	for of := range seen {
		all = append(all, of.Name())
	}
	return unique(all)
}

// Same wants a part of the page to name what the program has: all of it, and nothing else but the words that may stand
// there besides.
func Same(t testing.TB, what string, page, program []string, besides ...string) {
	t.Helper()
	for _, name := range program {
		if !slices.Contains(page, name) {
			t.Errorf("docs/api.md, %s: %s is not named", what, name)
		}
	}
	Known(t, what, page, append(slices.Clone(besides), program...))
}

// Known wants a part of the page to name nothing but what is known, and families of metrics.
func Known(t testing.TB, what string, page, known []string) {
	t.Helper()
	var families []string
	for _, name := range page {
		if slices.Contains(known, name) {
			continue
		}
		if families == nil {
			families = readPage(t, "metrics.md").Names()
		}
		if !strings.HasPrefix(name, "tcp_") || !slices.Contains(families, name) {
			t.Errorf("docs/api.md, %s: there is no %s", what, name)
		}
	}
}

func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
