package pcapfilter

import (
	"strings"
	"testing"
)

const snapLen = 192

// Both builds: Compile gives libpcap's program or the one assembled by hand, tcpProgram the latter.
func TestTCPVerdicts(t *testing.T) {
	for link := range linkHeaders {
		byHand, err := tcpProgram(link, snapLen)
		if err != nil {
			t.Fatal(err)
		}
		hand, compiled := vm(t, byHand), vm(t, mustCompile(t, "tcp", link, snapLen))
		for _, p := range ipPackets {
			packet := framed(link, p.ip)
			headers := len(packet) - len(p.ip)
			for cut := range len(packet) + 1 {
				want := 0
				if p.tcp && cut >= headers+p.looksAt {
					want = snapLen
				}
				if got := verdict(t, hand, packet[:cut]); got != want {
					t.Errorf("link type %d, %s, first %d of %d bytes: by hand %d, want %d", link, p.name, cut, len(packet), got, want)
				}
				if got := verdict(t, compiled, packet[:cut]); got != want {
					t.Errorf("link type %d, %s, first %d of %d bytes: compiled %d, want %d", link, p.name, cut, len(packet), got, want)
				}
			}
		}
	}
}

func TestTCPTakesNoOtherFrame(t *testing.T) {
	byHand, err := tcpProgram(EN10MB, snapLen)
	if err != nil {
		t.Fatal(err)
	}
	hand, compiled := vm(t, byHand), vm(t, mustCompile(t, "tcp", EN10MB, snapLen))
	for _, f := range etherFrames {
		if h, c := verdict(t, hand, f.frame), verdict(t, compiled, f.frame); h != 0 || c != 0 {
			t.Errorf("%s: by hand %d, compiled %d, want 0", f.name, h, c)
		}
	}
}

func TestTCPByHandKnowsItsLinkTypes(t *testing.T) {
	for _, link := range []LinkType{Null, PPP, Loop, 9999} {
		_, err := tcpProgram(link, snapLen)
		if err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
			t.Errorf("link type %d: error %v, want one that names CGO_ENABLED=1", link, err)
		}
	}
}
