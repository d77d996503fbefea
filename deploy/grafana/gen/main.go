// Command gen writes the Grafana dashboards of tcp-stream-exporter, router.json and host.json, into the folder above this
// one or into the folder that is given. "make dashboards" runs it.
//
// It is a module of its own, because nothing else needs Grafana's SDK.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	folder := ".."
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	if err := write(folder); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// write writes the dashboards into folder.
func write(folder string) error {
	for name, builder := range map[string]*dashboard.DashboardBuilder{"router.json": router(), "host.json": host()} {
		text, err := render(builder)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// render returns a dashboard as Grafana imports it.
func render(builder *dashboard.DashboardBuilder) ([]byte, error) {
	d, err := builder.Build()
	if err != nil {
		return nil, err
	}
	id := uint32(0)
	for _, p := range d.Panels { // so that links to a panel stay what they are
		id++
		if p.RowPanel != nil {
			p.RowPanel.Id = id
		} else {
			p.Panel.Id = new(id)
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // expressions have > and <
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}
