package web

import (
	"net/http"
	"strings"
)

// Probe returns a handler for a health check: 200 with the line word if check returns nil, else 503 with the error in
// one line. check must not wait.
func Probe(word string, check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isRead(w, r, "health is read with GET or HEAD") {
			return
		}
		w.Header().Set("Cache-Control", "no-store") // it is of this moment
		if err := check(); err != nil {
			http.Error(w, strings.ReplaceAll(err.Error(), "\n", "; "), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(word + "\n")) // an error means that the client went away
	})
}
