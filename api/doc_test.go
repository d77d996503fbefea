package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/internal/apidoc"
	"tcp-stream-exporter/stream"
)

// parametersOf returns the parameters of a path, which the error of one that does not exist lists.
func parametersOf(t *testing.T, h *Handler, path string) []string {
	t.Helper()
	var refusal struct{ Error string }
	w := ask(t, h, "GET", path+"?nosuch=1")
	if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil || w.Code != 400 {
		t.Fatalf("%d %v: %s", w.Code, err, w.Body)
	}
	_, list, _ := strings.Cut(refusal.Error, "there are ")
	return strings.Split(list, ", ")
}

// keys returns the fields of an answer, and those of its rows together, without the per-stream families.
func keys(t *testing.T, text []byte, list string) (around, ofRows []string) {
	t.Helper()
	var fields map[string]json.RawMessage
	var rows []map[string]json.RawMessage
	err := json.Unmarshal(text, &fields)
	if err == nil {
		err = json.Unmarshal(fields[list], &rows)
	}
	if err != nil || len(rows) == 0 {
		t.Fatalf("%v in %d rows of\n%s", err, len(rows), text)
	}
	for _, row := range rows {
		for name := range row {
			if !strings.HasPrefix(name, "tcp_") && !slices.Contains(ofRows, name) {
				ofRows = append(ofRows, name)
			}
		}
	}
	return slices.Collect(maps.Keys(fields)), ofRows
}

// TestStreamsDocs holds docs/api.md against an answer that has every field there is.
func TestStreamsDocs(t *testing.T) {
	f := &fakeSource{streams: expositiontest.Fixed()}
	for range f.streams {
		f.origins = append(f.origins, stream.Origin{IfIndex: 2, VLANs: 10})
	}
	h := New(f, Options{Group: testGroup, Service: testService, ByVLAN: true, InterfaceName: func(uint32) string { return "eth0" }})
	var answer []byte
	synctest.Test(t, func(t *testing.T) { answer = ask(t, h, "GET", StreamsPath+"?window=1s").Body.Bytes() }) // takes no second
	around, ofRows := keys(t, answer, "streams")

	page, lines := apidoc.Read(t, "## /api/v1/streams"), apidoc.Read(t, "## Lines of a file")
	fields := page.Table(t, "field")
	apidoc.Same(t, "fields around the streams", fields.Names(), around)
	besides := page.Below(t, "A stream has the fields").Table(t, "field").Names()
	ofLines := lines.Table(t, "field").Names()
	apidoc.Same(t, "fields of a stream", slices.Concat(besides, ofLines), ofRows, "schema")
	for _, name := range besides {
		if slices.Contains(ofLines, name) {
			t.Errorf("docs/api.md has %s twice among the fields of a stream", name)
		}
	}

	parameters := parametersOf(t, h, StreamsPath)
	apidoc.Same(t, "parameters of the streams", page.Table(t, "parameter").Names(), parameters)
	values := []string{"active", "finalized", "bytes", "packets", "retransmits", "delay", "health", "bitrate"}
	known := slices.Concat(around, ofRows, parameters, values)
	apidoc.Known(t, "streams", page.Names(), known)
	apidoc.Known(t, "lines of a file", lines.Names(), known)
}

// TestGroupsDocs holds docs/api.md against the structs of a row, object by object.
func TestGroupsDocs(t *testing.T) {
	page := apidoc.Read(t, "## /api/v1/groups")
	h := groupsHandler(testRows...)
	around, _ := keys(t, ask(t, h, "GET", GroupsPath).Body.Bytes(), "groups")
	apidoc.Same(t, "fields around the groups", page.Below(t, "Around the rows").Table(t, "field").Names(), around)

	ofRow := page.Below(t, "A row").Table(t, "field")
	apidoc.Same(t, "fields of a group", ofRow.Names(), apidoc.Fields[groupRow]())
	histogram := page.Below(t, "A histogram").Table(t, "field")
	objects := map[string]struct{ page, program []string }{
		"groupRow":     {},
		"distribution": {histogram.Names(), apidoc.Fields[distribution]()},
		"quantiles":    {histogram.Value(t, "quantiles_seconds").Names(), apidoc.Fields[quantiles]()},
		"directions":   {program: apidoc.Fields[directions]()},
		"connections":  {program: apidoc.Fields[connections]()},
		"closed":       {program: apidoc.Fields[closed]()},
		"failed":       {program: apidoc.Fields[failed]()},
		"legs":         {program: apidoc.Fields[legs]()},
	}
	for field := range reflect.TypeFor[groupRow]().Fields() {
		of := field.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			apidoc.Same(t, name, ofRow.Value(t, name).Names(), objects[of.Name()].program)
		}
	}
	parameters := parametersOf(t, h, GroupsPath)
	known := append(slices.Concat(around, parameters), apidoc.Fields[groupRow]()...)
	for _, name := range apidoc.Structs[groupRow]() {
		o, there := objects[name]
		if !there {
			t.Errorf("%s is in a row, and this test looks for its fields nowhere", name)
		}
		if o.page != nil {
			apidoc.Same(t, name, o.page, o.program)
		}
		known = append(known, o.program...)
	}
	apidoc.Same(t, "parameters of the groups", page.Table(t, "parameter").Names(), parameters)
	apidoc.Known(t, "groups", page.Names(), append(known, "other"))
}
