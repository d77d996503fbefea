package web

import (
	"errors"
	"net/http/httptest"
	"testing"
)

func TestProbe(t *testing.T) {
	var fault error
	h := Mux([]Route{{"/-/healthy", Probe("healthy", func() error { return fault })}}, func() Page { return testPage })
	for _, c := range []struct {
		method string
		fault  error
		status int
		body   string
	}{
		{"GET", nil, 200, "healthy\n"},
		{"HEAD", nil, 200, "healthy\n"}, // which the server leaves out
		{"GET", errors.New("worker 0\nis stuck"), 503, "worker 0; is stuck\n"},
		{"GET", nil, 200, "healthy\n"}, // the state is of the moment of the request
		{"POST", nil, 405, "health is read with GET or HEAD\n"},
	} {
		fault = c.fault
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, "/-/healthy", nil))
		if w.Code != c.status || w.Body.String() != c.body || c.status != 405 && w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s with %v: %d %q %v, want %d %q", c.method, c.fault, w.Code, w.Body, w.Header(), c.status, c.body)
		}
	}
}
