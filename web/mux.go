package web

import (
	"net/http"
	"strings"
)

// Mux returns a handler that answers "/" with the landing page, leaves "/metrics" to metrics and what is below "/api/" to
// api, and answers every other path with 404. page is called once for each request of the landing page.
//
// Paths are compared as they are: unlike http.ServeMux it redirects nothing, so "//" and "/metrics/" are
// 404 too.
func Mux(metrics, api http.Handler, page func() Page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/metrics":
			metrics.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/api/"):
			api.ServeHTTP(w, r)
		case r.URL.Path == "/":
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				w.Header().Set("Allow", "GET, HEAD")
				http.Error(w, "this page is read with GET or HEAD", http.StatusMethodNotAllowed)
				return
			}
			servePage(w, page())
		default:
			http.Error(w, "not found: there are /, /metrics and /api/v1/streams", http.StatusNotFound)
		}
	})
}
