package pcapfilter

import (
	"math"
	"strings"
	"testing"
)

func TestProgramAcceptsWithTheSnapLength(t *testing.T) {
	packet := framed(EN10MB, ipv4(6, 0, tcpHeader()))
	for _, snap := range []int{1, 54, 192, 65535, MaxSnapLen} {
		for _, filter := range []string{"", " ", "\t\r\n", "tcp", " tcp ", "\n\ttcp\r\n"} {
			m := vm(t, mustCompile(t, filter, EN10MB, snap))
			if got := verdict(t, m, packet); got != snap {
				t.Errorf("filter %q with snap length %d accepts with %d", filter, snap, got)
			}
		}
	}
}

func TestEmptyFilterAcceptsEveryPacket(t *testing.T) {
	m := vm(t, mustCompile(t, "", EN10MB, snapLen))
	for _, f := range etherFrames {
		for cut := range len(f.frame) + 1 {
			if got := verdict(t, m, f.frame[:cut]); got != snapLen {
				t.Errorf("%s, first %d bytes: %d, want %d", f.name, cut, got, snapLen)
			}
		}
	}
}

func TestRefusedBeforeTheCompiler(t *testing.T) {
	for _, c := range []struct {
		name, filter string
		link         LinkType
		snapLen      int
		want         []string // parts of the error
	}{
		{"a NUL byte", "tcp\x00 and udp", EN10MB, 192, []string{"NUL byte at offset 3", "remove"}},
		{"a NUL byte alone", "\x00", EN10MB, 192, []string{"offset 0"}},
		{"one byte too long", strings.Repeat(" ", MaxFilterLen-2) + "tcp", EN10MB, 192, []string{"16385 bytes long", "at most 16384"}},
		{"snap length 0", "tcp", EN10MB, 0, []string{"snap length 0", "1 to 262144"}},
		{"snap length below 0", "tcp", EN10MB, -1, []string{"snap length -1"}},
		{"snap length too large", "tcp", EN10MB, MaxSnapLen + 1, []string{"snap length 262145"}},
		{"snap length beyond 32 bits", "tcp", EN10MB, math.MaxInt, []string{"1 to 262144"}},
		{"link type below 0", "tcp", -1, 192, []string{"link type -1", "pcap-linktype(7)"}},
		{"link type above 16 bits", "tcp", 65536, 192, []string{"link type 65536", "0 to 65535"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			prog, err := Compile(c.filter, c.link, c.snapLen)
			wantError(t, prog != nil, err, c.want...)
		})
	}
}

// wantError checks an error of Compile: one readable line with the parts wanted.
func wantError(t *testing.T, hasProg bool, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	if hasProg {
		t.Errorf("a program comes with the error %q", text)
	}
	if strings.ContainsAny(text, "\n\r\x00") || len(text) > 1000 {
		t.Errorf("not one short line: %q", text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("error %q does not say %q", text, part)
		}
	}
}

func TestLongestFilterIsAccepted(t *testing.T) {
	filter := strings.Repeat(" ", MaxFilterLen-3) + "tcp"
	if _, err := Compile(filter, EN10MB, 192); err != nil {
		t.Error(err)
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine("illegal token: \x01\n\xff é"); got != "illegal token:   ? é" {
		t.Errorf("got %q", got)
	}
}
