package kmem

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestWordsOutsideOrOffTheirAlignmentPanic(t *testing.T) {
	mem := make([]byte, 16)
	Store32(mem, 12, 0x01020304)
	if got := Load32(mem, 12); got != 0x01020304 {
		t.Errorf("read back %#x", got)
	}
	if bytes.Count(mem[:12], []byte{0}) != 12 {
		t.Errorf("a store touched its neighbours: %x", mem)
	}
	for _, off := range []int{-4, 1, 2, 3, 13, 16, 1 << 30} {
		if !panics(func() { Load32(mem, off) }) || !panics(func() { Store32(mem, off, 1) }) {
			t.Errorf("offset %d of 16 bytes did not panic", off)
		}
	}
}

// A pair of datagram sockets shows that messages arrive whole, in order, with their part of the tail.
func TestMessagesArrive(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	m := NewMessages([][]byte{[]byte("one"), []byte("twoX"), []byte("three")}, []byte("tail"))
	m.SetLen(0, 3, 0)
	m.SetLen(1, 3, 4)
	m.SetLen(2, 5, 1)
	if n, err := m.Send(fds[0], 1, 3); n != 2 || err != nil {
		t.Fatalf("sent %d: %v", n, err)
	}
	if n, err := m.Send(fds[0], 0, 1); n != 1 || err != nil {
		t.Fatalf("sent %d: %v", n, err)
	}
	if n, err := m.Send(fds[0], 2, 2); n != 0 || err != nil {
		t.Errorf("sent %d of none: %v", n, err)
	}
	for _, want := range []string{"twotail", "threet", "one"} {
		b := make([]byte, 100)
		n, err := unix.Read(fds[1], b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("received %q, %v, want %q", b[:max(n, 0)], err, want)
		}
	}
	if _, err := m.Send(-1, 0, 1); err != unix.EBADF {
		t.Errorf("send to no socket: %v, want EBADF", err)
	}
}

func TestMessagesDoNotReachBeyondTheirBuffers(t *testing.T) {
	m := NewMessages([][]byte{make([]byte, 10, 20)}, make([]byte, 4, 8))
	for _, l := range [][2]int{{11, 0}, {-1, 0}, {10, 5}, {10, -1}} {
		if !panics(func() { m.SetLen(0, l[0], l[1]) }) {
			t.Errorf("lengths %v did not panic", l)
		}
	}
	if !panics(func() { _, _ = m.Send(0, 0, 2) }) {
		t.Error("sending two messages of one did not panic")
	}
}

func TestEthtoolValue(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const getLink = 0x0a // ETHTOOL_GLINK
	if v, err := EthtoolValue(fd, "lo", getLink); err != nil || v != 1 {
		t.Errorf("link of lo: %d, %v, want 1", v, err)
	}
	for _, device := range []string{"none0", strings.Repeat("x", 40)} {
		if _, err := EthtoolValue(fd, device, getLink); err != unix.ENODEV {
			t.Errorf("link of %s: %v, want ENODEV", device, err)
		}
	}
}
