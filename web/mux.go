package web

import (
	"net/http"
	"strings"
)

// Route is a path of the server and what answers there; with a final "/" also everything below it.
type Route struct {
	Path string
	http.Handler
}

// Mux returns a handler that answers each route's path by its handler, "/" with the page unless a route has it, and what
// the page loads below "/page/", and every other path with 404. page is called once for each request of the page.
//
// Paths are compared as they are: unlike http.ServeMux it redirects nothing, so "//" and "/metrics/" are
// 404 too.
func Mux(routes []Route, page func() Page) http.Handler {
	handlers := make(map[string]http.Handler, len(routes)+1)
	names := []string{"/"}
	handlers["/"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isRead(w, r, "this page is read with GET or HEAD") {
			servePage(w, page())
		}
	})
	for _, r := range pageParts() {
		handlers[r.Path] = r.Handler
	}
	var trees []Route
	for _, r := range routes {
		if r.Path != "/" && strings.HasSuffix(r.Path, "/") {
			trees = append(trees, r)
		}
		handlers[r.Path] = r.Handler
		if r.Path != "/" {
			names = append(names, r.Path)
		}
	}
	last := len(names) - 1
	there := "not found: there is " + names[0]
	if last > 0 {
		there = "not found: there are " + strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := handlers[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		for _, below := range trees {
			if strings.HasPrefix(r.URL.Path, below.Path) {
				below.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, there, http.StatusNotFound)
	})
}

// isRead reports whether a request only reads. Otherwise it has answered it with 405.
func isRead(w http.ResponseWriter, r *http.Request, otherwise string) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, otherwise, http.StatusMethodNotAllowed)
	return false
}
