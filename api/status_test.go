package api

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	h := New(nil, Options{StatusPoints: 120, Status: func(points int) []byte { return fmt.Appendf(nil, `{"points":%d}`, points) }})
	for range cap(h.admission.reading) + maxWaiting + maxWriting + 1 {
		_ = h.admission.enter() // the status answers when all places are taken
	}
	for target, want := range map[string]string{
		"?":                    `200 {"points":0}`,
		"?history=120":         `200 {"points":120}`,
		"?history=121":         `400 {"error":"history=121`,
		"?history=x":           `400 {"error":"history=x`,
		"?limit=1":             `400 {"error":"`,
		"?history=1&history=2": `400 {"error":"history`,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", StatusPath+target, nil))
		if got := fmt.Sprint(w.Code, " ", w.Body.String()); !strings.HasPrefix(got, want) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	w := httptest.NewRecorder()
	New(nil, Options{}).ServeHTTP(w, httptest.NewRequest("GET", StatusPath, nil))
	if w.Code != 404 {
		t.Errorf("without a status: %d", w.Code)
	}
}
