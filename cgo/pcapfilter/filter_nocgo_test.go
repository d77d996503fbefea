//go:build !cgo

package pcapfilter

import "testing"

func TestBuildWithoutLibpcap(t *testing.T) {
	if Available || Version() != "none" {
		t.Errorf("Available %v, Version %q", Available, Version())
	}
	for _, filter := range []string{"udp", "tcp and port 443", "tcp tcp", "TCP", "t cp", "tcp\v"} {
		prog, err := Compile(filter, EN10MB, 192)
		wantError(t, prog != nil, err, "no libpcap", `only "tcp"`, "CGO_ENABLED=1", "libpcap-dev")
	}
	for _, filter := range []string{"vlan", "vlan 10 and tcp"} {
		prog, err := CompileLive(filter, EN10MB, 192)
		wantError(t, prog != nil, err, "no libpcap", `only "tcp"`)
	}
	if _, err := CompileLive("tcp", EN10MB, 192); err != nil {
		t.Error(err)
	}
	prog, err := Compile("tcp", PPP, 192)
	wantError(t, prog != nil, err, "link type 9", "CGO_ENABLED=1")
	if _, err := Compile("", PPP, 192); err != nil {
		t.Errorf("the empty filter does not depend on the link type: %v", err)
	}
}
