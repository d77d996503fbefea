package pcapfilter

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// kernelFilter is a pair of datagram sockets with a program on the receiving one: what is sent
// arrives cut to the program's accept value, or not at all. It needs no privilege.
type kernelFilter struct {
	t        testing.TB
	from, to int
}

func newKernelFilter(t testing.TB, prog []bpf.RawInstruction) kernelFilter {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	filter := make([]unix.SockFilter, len(prog))
	for k, in := range prog {
		filter[k] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fds[1], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
		t.Fatalf("the kernel refuses the program of %d instructions: %v", len(prog), err)
	}
	return kernelFilter{t, fds[0], fds[1]}
}

// verdict returns how many bytes of the packet arrive.
func (k kernelFilter) verdict(packet []byte) int {
	k.t.Helper()
	if _, err := unix.Write(k.from, packet); err != nil {
		k.t.Fatal(err)
	}
	buf := make([]byte, len(packet)+1)
	n, err := unix.Read(k.to, buf)
	if err == unix.EAGAIN {
		return 0
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return n
}

func TestKernelGivesTheSameVerdicts(t *testing.T) {
	const snap = 48 // shorter than the packets, so that the cut shows
	for link := range linkHeaders {
		kernel := newKernelFilter(t, mustCompile(t, "tcp", link, snap))
		for _, p := range ipPackets {
			packet := framed(link, p.ip)
			want := 0
			if p.tcp {
				want = min(snap, len(packet))
			}
			if got := kernel.verdict(packet); got != want {
				t.Errorf("link type %d, %s: %d bytes, want %d", link, p.name, got, want)
			}
		}
	}
	r := nested{rand.New(rand.NewPCG(9, 15))}
	for link := range linkHeaders {
		prog := mustTCP(t, link, snap)
		kernel := newKernelFilter(t, prog)
		for range 2000 {
			packet := r.packet(link)
			want, _ := run(t, prog, packet, nil)
			if got := kernel.verdict(packet); got != min(want, len(packet)) {
				t.Fatalf("link type %d, packet %x: %d bytes, by the machine %d", link, packet, got, want)
			}
		}
	}
	all := newKernelFilter(t, mustCompile(t, "", EN10MB, snap))
	for _, f := range etherFrames[1:] {
		if got, want := all.verdict(f.frame), min(snap, len(f.frame)); got != want {
			t.Errorf("empty filter, %s: %d bytes, want %d", f.name, got, want)
		}
	}
}
