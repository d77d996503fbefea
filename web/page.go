package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"time"
)

// Page holds what the page at / shows before its scripts have asked for more.
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

// pageFiles are the page and what it loads. Nothing of it comes from elsewhere.
//
//go:embed page
var pageFiles embed.FS

// pageTemplate is the page. Its live figures are asked for by its scripts, from the API; those of the moment are for
// browsers without scripts.
var pageTemplate = template.Must(template.New("index.html").Funcs(template.FuncMap{
	"uptime": func(d time.Duration) string { return d.Truncate(time.Second).String() },
}).ParseFS(pageFiles, "page/index.html"))

// pagePolicy lets the page load and ask for what is on this server, and nothing else: the name of an interface or a
// filter could not bring a script in.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// servePage writes the page.
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
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // the address may hold addresses that were filtered by
	// The server leaves the body out for HEAD. An error means that the client went away.
	_, _ = w.Write(b.Bytes())
}

// pageTypes are the kinds of files that the page loads, by the end of their names.
var pageTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// pageParts returns the routes of the files that the page loads.
func pageParts() (parts []Route) {
	all, _ := pageFiles.ReadDir("page") // it is in the program
	for _, entry := range all {
		kind := pageTypes[path.Ext(entry.Name())]
		if kind == "" {
			continue
		}
		name := "page/" + entry.Name()
		text, _ := pageFiles.ReadFile(name)
		parts = append(parts, Route{"/" + name, part(kind, text)})
	}
	return parts
}

// part returns the handler of one file. Browsers ask each time whether it is still the same, so that a page and its
// parts are of one version.
func part(kind string, text []byte) http.Handler {
	tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(text)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isRead(w, r, "parts of the page are read with GET or HEAD") {
			return
		}
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	})
}
