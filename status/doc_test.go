package status

import (
	"slices"
	"testing"

	"tcp-stream-exporter/internal/apidoc"
	"tcp-stream-exporter/loss"
)

// TestDocs holds docs/api.md against the structs of the answer, object by object.
func TestDocs(t *testing.T) {
	page := apidoc.Read(t, "## /api/v1/status")
	all := page.Table(t, "field")
	ofCapture := page.Below(t, "`capture`:").Table(t, "field")
	ofInterface := page.Below(t, "An interface:").Table(t, "field")
	charts := page.Paragraph(t, "- **Charts.**").Names()
	// Charts of three objects are in one paragraph; which of them has which is for people to read there.
	chartFields := slices.Concat(apidoc.Fields[history](), apidoc.Fields[workerHistory](), apidoc.Fields[linkHistory]())
	states := []string{"complete", "incomplete", "stuck", "captured", "down", "absent", "not_decoded", "below"}
	places := []string{"ring", "table", "interface", "kernel"}

	withoutCharts := func(fields []string) []string {
		return slices.DeleteFunc(fields, func(name string) bool { return name == "history" })
	}
	objects := []struct {
		of                     string // name of the struct
		page, program, besides []string
	}{
		{"answer", all.Names(), apidoc.Fields[answer](), nil},
		{"totals", all.Value(t, "totals").Names(), apidoc.Fields[totals](), nil},
		{"skipped", all.Value(t, "skipped").Names(), apidoc.Fields[skipped](), nil},
		{"oneOf", all.Value(t, "workers").Names(), withoutCharts(apidoc.Fields[oneOf]()), nil},
		{"capture", ofCapture.Names(), apidoc.Fields[capture](), nil},
		{"lossReason", ofCapture.Value(t, "reasons").Names(), apidoc.Fields[lossReason](), places},
		{"iface", ofInterface.Names(), withoutCharts(apidoc.Fields[iface]()), nil},
		{"history", charts, chartFields, []string{"history"}},
		{"linkHistory", charts, chartFields, []string{"history"}},
		{"workerHistory", charts, chartFields, []string{"history"}},
	}
	var described []string
	known := slices.Concat(states, places, []string{"history", "group", "service", "vlan"})
	for _, o := range objects {
		apidoc.Same(t, o.of, o.page, o.program, o.besides...)
		described = append(described, o.of)
		known = append(known, o.program...)
	}
	for _, name := range apidoc.Structs[answer]() {
		if !slices.Contains(described, name) {
			t.Errorf("%s is in the answer, and this test looks for its fields nowhere", name)
		}
	}

	words := []string{"interface_away", "unreadable", "brief"}
	for _, c := range causes {
		words = append(words, c.name)
	}
	words = append(words, loss.CounterNames[:]...)
	apidoc.Same(t, "causes", page.Paragraph(t, "`cause` is one of").Names(), words, "cause", "text")
	apidoc.Known(t, "status", page.Names(), append(known, words...))
	apidoc.Same(t, "parameters of the status", page.Table(t, "parameter").Names(), []string{"history"})
}
