package pcapfilter

import (
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/internal/recorded"
)

// headersWanted returns the length of the headers of a frame that "tcp" accepts, written independently of the program.
func headersWanted(frame []byte) int {
	if len(frame) < 54 || frame[12] != 8 || frame[13] != 0 || frame[14] != 0x45 || frame[23] != 6 {
		return snapLen
	}
	if words := int(frame[46] >> 4); words >= 5 {
		return 34 + 4*words
	}
	return snapLen
}

func TestHeadersOnly(t *testing.T) {
	whole := mustTCP(t, EN10MB, snapLen)
	before, after := vm(t, whole), vm(t, HeadersOnly(slices.Clone(whole), EN10MB))
	check := func(frame []byte) (cut bool) {
		t.Helper()
		want := verdict(t, before, frame)
		if want != 0 {
			want = headersWanted(frame)
		}
		if got := verdict(t, after, frame); got != want {
			t.Fatalf("frame %x: accepted with %d bytes, want %d", frame, got, want)
		}
		return want != 0 && want < snapLen
	}
	cut := 0
	frames := recorded.Frames(recorded.Ethernet)
	r := rand.New(rand.NewPCG(3, 4))
	for _, f := range frames {
		if check(f.Data) {
			cut++
		}
		for n := range min(len(f.Data), 100) { // too short for any of its loads
			check(f.Data[:n])
		}
		for range 200 {
			frame := slices.Clone(f.Data)
			frame[r.IntN(min(len(frame), 60))] = byte(r.Uint32())
			check(frame)
		}
	}
	for _, f := range etherFrames {
		check(f.frame)
	}
	for _, ip := range ipPackets {
		check(framed(EN10MB, ip.ip))
	}
	if cut < len(frames)/4 {
		t.Errorf("%d of %d recorded frames are cut to their headers", cut, len(frames))
	}
}

func TestHeadersOnlyLeavesOthersAlone(t *testing.T) {
	for link := range linkHeaders {
		prog := mustTCP(t, link, snapLen)
		if got := HeadersOnly(slices.Clone(prog), link); slices.Equal(got, prog) != (link != EN10MB) {
			t.Errorf("link type %d: changed or not: %v", link, got)
		}
	}
	short := mustTCP(t, EN10MB, 80) // shorter than the longest headers
	long := slices.Repeat(short, maxInstructions/len(short))
	for _, prog := range [][]bpf.RawInstruction{nil, short, long} {
		if got := HeadersOnly(slices.Clone(prog), EN10MB); !slices.Equal(got, prog) {
			t.Errorf("a program of %d instructions has %d now", len(prog), len(got))
		}
	}
}
