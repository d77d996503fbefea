package collector

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/stream"
)

// oneOrigin is a source of one stream that was seen on interface 2.
type oneOrigin struct{}

func (oneOrigin) Snapshot(_ context.Context, s *Snapshot) error {
	var v stream.View
	a := expositiontest.Addr("192.0.2.1")
	s.Wide = v.SetEnds(stream.Ends{Src: a, Dst: a, Origin: stream.Origin{IfIndex: 2}}, nil)
	s.Views = []stream.View{v}
	return nil
}

func TestInterfaceNamesReachTheText(t *testing.T) {
	for want, names := range map[string]func(uint32) string{
		`interface="2"`:    nil,
		`interface="eth0"`: func(index uint32) string { return map[uint32]string{2: "eth0"}[index] },
	} {
		answer := httptest.NewRecorder()
		New(oneOrigin{}, Options{InterfaceName: names}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		if text := answer.Body.String(); !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
