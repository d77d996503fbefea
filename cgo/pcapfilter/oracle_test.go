//go:build cgo

package pcapfilter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/internal/recorded"
)

// twoTCP holds libpcap's program of "tcp" and the one of this package.
type twoTCP struct {
	link         LinkType
	libpcap, own *bpf.VM
}

func newTwoTCP(t testing.TB, link LinkType) twoTCP {
	t.Helper()
	libpcap, err := compile("tcp", link, snapLen)
	if err != nil {
		t.Fatal(err)
	}
	return twoTCP{link, vm(t, libpcap), vm(t, mustTCP(t, link, snapLen))}
}

// compare wants the program of this package to accept what libpcap's does. What it accepts beyond that, the
// tests of tcp_test.go hold against the rules.
func (p twoTCP) compare(t testing.TB, packet []byte) (accepted bool) {
	t.Helper()
	l, o := verdict(t, p.libpcap, packet), verdict(t, p.own, packet)
	if l != 0 && l != o {
		t.Fatalf("link type %d, packet %x: libpcap's program %d, this package's %d", p.link, packet, l, o)
	}
	return l != 0
}

func TestTCPAcceptsWhatLibpcapDoes(t *testing.T) {
	for link := range linkHeaders {
		t.Run(fmt.Sprintf("link type %d", link), func(t *testing.T) {
			p := newTwoTCP(t, link)
			r := rand.New(rand.NewPCG(uint64(link), 6))
			var packets [][]byte
			for _, ip := range ipPackets {
				packets = append(packets, framed(link, ip.ip))
			}
			for _, f := range etherFrames {
				packets = append(packets, f.frame)
			}
			for _, packet := range packets {
				packet = slices.Clone(packet)
				for cut := range len(packet) + 1 {
					p.compare(t, packet[:cut])
				}
				// Every value of every byte, and some of two bytes at once.
				for at := range packet {
					before := packet[at]
					for value := range 256 {
						packet[at] = byte(value)
						p.compare(t, packet)
					}
					other := r.IntN(len(packet))
					was := packet[other]
					packet[other] = byte(r.Uint32())
					p.compare(t, packet)
					packet[other] = was
					packet[at] = before
				}
			}
		})
	}
}

func TestTCPAcceptsWhatLibpcapDoesOfRandomPackets(t *testing.T) {
	// Bytes that "tcp" asks about turn up often, so that random packets get past its first tests.
	telling := []byte{0x08, 0x00, 0x86, 0xdd, 0x45, 0x60, 6, 44, 17}
	for link := range linkHeaders {
		p := newTwoTCP(t, link)
		r := rand.New(rand.NewPCG(uint64(link), 7))
		accepted := 0
		for range 100_000 {
			packet := make([]byte, r.IntN(80))
			for k := range packet {
				if packet[k] = telling[r.IntN(len(telling))]; r.IntN(4) == 0 {
					packet[k] = byte(r.Uint32())
				}
			}
			if p.compare(t, packet) {
				accepted++
			}
		}
		if accepted < 50 {
			t.Errorf("link type %d: only %d random packets were accepted: they show little", link, accepted)
		}
	}
}

// An ordinary packet must not cost more than with libpcap's program.
func TestTCPCostsNoMoreThanLibpcaps(t *testing.T) {
	for link := range linkHeaders {
		libpcap, err := compile("tcp", link, snapLen)
		if err != nil {
			t.Fatal(err)
		}
		own := mustTCP(t, link, snapLen)
		for _, c := range []struct {
			name string
			ip   []byte
		}{{"TCP in IPv4", ipv4(6, 0, tcpHeader())}, {"UDP in IPv4", ipv4(17, 0, udpHeader())}, {"TCP in IPv6", ipv6(6, tcpHeader())}} {
			packet := framed(link, c.ip)
			_, l := run(t, libpcap, packet, nil)
			_, o := run(t, own, packet, nil)
			_, lCut := run(t, HeadersOnly(slices.Clone(libpcap), link), packet, nil)
			_, oCut := run(t, HeadersOnly(slices.Clone(own), link), packet, nil)
			t.Logf("link type %d, %s: %d instructions, libpcap's %d; with HeadersOnly %d and %d", link, c.name, o, l, oCut, lCut)
			if o > l || oCut > lCut {
				t.Errorf("link type %d, %s: %d instructions, libpcap's %d; with HeadersOnly %d and %d", link, c.name, o, l, oCut, lCut)
			}
		}
	}
}

func FuzzTCPAcceptsWhatLibpcapDoes(f *testing.F) {
	for _, p := range ipPackets {
		f.Add(framed(EN10MB, p.ip))
	}
	for _, r := range append(recorded.Frames(recorded.Ethernet), recorded.Frames(recorded.Cooked)...) {
		f.Add(r.Data)
	}
	var pairs []twoTCP
	for link := range linkHeaders {
		pairs = append(pairs, newTwoTCP(f, link))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, p := range pairs {
			p.compare(t, packet)
		}
	})
}
