package web

import (
	"maps"
	"net/http"
	"slices"
)

// Handlers answers the paths that it has as keys, such as "/metrics".
type Handlers map[string]http.Handler

// Mux returns a handler that answers "/" with the landing page, leaves the paths of handlers to them, and answers
// every other path with 404. page is called once for each request of the landing page.
//
// Paths are compared as they are: unlike http.ServeMux it redirects nothing, so "//" and "/metrics/" are
// 404 too.
func Mux(handlers Handlers, page func() Page) http.Handler {
	paths := "/"
	for _, path := range slices.Sorted(maps.Keys(handlers)) {
		paths += ", " + path
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := handlers[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		if r.URL.Path != "/" {
			http.Error(w, "not found: there are "+paths, http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this page is read with GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		servePage(w, page())
	})
}
