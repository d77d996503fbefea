package ring

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/need"
)

const testEtherType = 0x88b5 // IEEE 802: local experimental, so that nothing else sends it

// netns moves the test into a network namespace of its own, which ends with the test: the thread is
// never unlocked, so the runtime ends it with the test's goroutine, and the namespace goes with its
// last thread and socket.
func netns(t *testing.T) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	lockThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare the network namespace: %v", err)
	}
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

func ifIndex(t *testing.T, name string) int {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return i.Index
}

// veth makes the pair cap0, to capture on, and gen0, to send from, and sets both up. It returns
// their indices.
func veth(t *testing.T) (cap0, gen0 int) {
	t.Helper()
	netns(t)
	ip(t, "link add cap0 type veth peer name gen0")
	ip(t, "link set cap0 up")
	ip(t, "link set gen0 up")
	return ifIndex(t, "cap0"), ifIndex(t, "gen0")
}

// sender sends raw frames out of an interface. Its protocol is 0: it receives nothing.
type sender struct{ fd, ifIndex int }

func newSender(t *testing.T, ifIndex int) *sender {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("sender: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &sender{fd, ifIndex}
}

func (s *sender) send(t *testing.T, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		if err := unix.Sendto(s.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: s.ifIndex, Halen: 6}); err != nil {
			t.Fatalf("send %d bytes: %v", len(f), err)
		}
	}
}

// numbered returns an Ethernet frame of n bytes that carries i behind its header.
func numbered(i, n int) []byte {
	b := ether(i, n)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}) // locally administered addresses
	binary.BigEndian.PutUint16(b[12:], testEtherType)
	binary.BigEndian.PutUint32(b[14:], uint32(i))
	return b
}

func assemble(t *testing.T, prog ...bpf.Instruction) []bpf.RawInstruction {
	t.Helper()
	raw, err := bpf.Assemble(prog)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// onlyTestFrames accepts snapLen bytes of the frames that the tests send. What the kernel sends by
// itself, such as IPv6 router solicitations, it leaves out.
func onlyTestFrames(t *testing.T, snapLen uint32) []bpf.RawInstruction {
	t.Helper()
	return assemble(t,
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: testEtherType, SkipFalse: 1},
		bpf.RetConstant{Val: snapLen},
		bpf.RetConstant{Val: 0},
	)
}

// small returns a ring of a few pages whose blocks come within milliseconds.
func small(t *testing.T, ifIndex int) Config {
	t.Helper()
	return Config{
		IfIndex: ifIndex, BlockSize: 4 * PageSize(), NumBlocks: 8, FrameSize: 2048,
		RetireTov: 2 * time.Millisecond, Filter: onlyTestFrames(t, 1<<18),
	}
}

func mustOpen(t *testing.T, c Config) *Ring {
	t.Helper()
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// collect takes frames out of the ring, with a copy of their data, until there are n or, with n < 0,
// until quiet has passed without one. It fails on a bad block and after two seconds.
func collect(t *testing.T, r *Ring, n int, quiet time.Duration) (fs []seen) {
	t.Helper()
	end := time.Now().Add(2 * time.Second)
	last := time.Now()
	for n < 0 || len(fs) < n {
		if n < 0 && time.Since(last) > quiet {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d frames after 2 s, want %d", len(fs), n)
		}
		b, ok := r.Next()
		if !ok {
			if err := r.Wait(10 * time.Millisecond); err != nil {
				t.Fatalf("after %d frames: %v", len(fs), err)
			}
			continue
		}
		var f seen
		for b.next(&f) {
			f.Data = append([]byte(nil), f.Data...)
			fs = append(fs, f)
			last = time.Now()
		}
		if b.Bad() {
			t.Fatalf("the kernel's block of %d frames ends badly after %d in all", b.Len(), len(fs))
		}
		r.Release()
	}
	return fs
}

// eventually waits until ok says so, for two seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 2 s: %s", what)
		}
	}
}

func numberOf(f seen) int {
	if len(f.Data) < 18 {
		panic(fmt.Sprintf("a frame of %d bytes has no number", len(f.Data)))
	}
	return int(binary.BigEndian.Uint32(f.Data[14:]))
}

// lockThread ties the goroutine to a thread that ends with it, whatever is done to the thread.
func lockThread() { runtime.LockOSThread() }

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func maps(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func addressOf(mem []byte) uintptr { return reflect.ValueOf(mem).Pointer() }
