package app

import (
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/api"
)

// The status names the filters that the API takes, and no others.
func TestStreamFilters(t *testing.T) {
	for _, args := range [][]string{
		nil, {"-group", "lan=10.0.0.0/8"}, {"-group-metrics", "none"}, {"-interface", "eth*"}, {"-vlan-identity"},
	} {
		o, err := parseFlags(append([]string{"-interface", "lo"}, args...), io.Discard)
		if slices.Contains(args, "-interface") {
			o, err = parseFlags(args, io.Discard)
		}
		if err != nil {
			t.Fatal(err)
		}
		named := o.streamFilters()
		s := &setup{}
		if o.byInterface() {
			s.lines = &lines{}
		}
		h := api.New(nil, o.apiOptions(nil, s, &groupsInForce{}, nil))
		for _, name := range []string{"addr", "src", "dst", "port", "state", "min_bytes", "group", "service", "interface", "vlan"} {
			w := httptest.NewRecorder()
			// A second, unknown parameter: a request that takes the first is refused for the other one.
			h.ServeHTTP(w, httptest.NewRequest("GET", api.StreamsPath+"?"+name+"="+sampleValue(name)+"&zzz=1", nil))
			if taken := strings.Contains(w.Body.String(), "zzz"); taken != slices.Contains(named, name) {
				t.Errorf("%v: %s is taken: %v; named are %v: %s", args, name, taken, named, w.Body)
			}
		}
	}
}

func sampleValue(name string) string {
	switch name {
	case "addr", "src", "dst":
		return "192.0.2.1"
	case "port", "min_bytes", "vlan":
		return "10"
	case "state":
		return "active"
	}
	return "x"
}
