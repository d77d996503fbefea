package web

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

// Page holds what the landing page shows.
type Page struct {
	Name, Version string
	Metrics       string // paths of the metrics: all,
	Summary       string // by group,
	PerStream     string // and by stream
	Interface     string // of the capture
	Filter        string // for people
	Packets       uint64 // taken out of the rings
	Drops         uint64 // dropped by the kernel for want of room
	Freezes       uint64 // TPACKET_V3 queue freezes
	Streams       int    // active now
	Uptime        time.Duration
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"uptime": func(d time.Duration) string { return d.Truncate(time.Second).String() },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Name}}</title>
<style>
body { font-family: sans-serif; margin: 2em }
th { text-align: left; font-weight: normal; padding-right: 2em }
td { font-family: monospace; text-align: right }
</style>
</head>
<body>
<h1>{{.Name}}</h1>
<p>Version {{.Version}}. TCP metrics for Prometheus: all <a href="{{.Metrics}}">{{.Metrics}}</a>, by group and totals
<a href="{{.Summary}}">{{.Summary}}</a>, by stream <a href="{{.PerStream}}">{{.PerStream}}</a>. The largest now, as JSON:
<a href="/api/v1/streams">/api/v1/streams</a></p>
<table>
<tr><th>Interface</th><td>{{.Interface}}</td></tr>
<tr><th>Packet filter</th><td>{{.Filter}}</td></tr>
<tr><th>Active streams</th><td>{{.Streams}}</td></tr>
<tr><th>Packets processed</th><td>{{.Packets}}</td></tr>
<tr><th>Packets dropped</th><td>{{.Drops}}</td></tr>
<tr><th>Queue freezes</th><td>{{.Freezes}}</td></tr>
<tr><th>Uptime</th><td>{{uptime .Uptime}}</td></tr>
</table>
</body>
</html>
`))

// servePage writes the landing page.
func servePage(w http.ResponseWriter, p Page) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		http.Error(w, "rendering the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "no-store") // the figures are of this moment
	// Nothing from other hosts and no script: the name of an interface or a filter could not bring one in.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	// The server leaves the body out for HEAD. An error means that the client went away.
	_, _ = w.Write(b.Bytes())
}
