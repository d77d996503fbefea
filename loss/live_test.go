package loss

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// tun makes the interface tun0 in the namespace, up. What is written to the descriptor arrives at
// it.
func tun(t *testing.T, ns *lab.NS) (fd int) {
	t.Helper()
	need.File(t, "/dev/net/tun")
	err := ns.Do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq("tun0")
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	})
	if err != nil {
		t.Fatalf("make tun0: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	ns.Run(t, "ip", "link", "set", "tun0", "up")
	return fd
}

// arrive has n packets arrive.
func arrive(t *testing.T, fd, n int) {
	t.Helper()
	p := packet.TCP{
		Src: netip.MustParseAddrPort("192.0.2.1:1000"), Dst: netip.MustParseAddrPort("192.0.2.2:80"), Flags: packet.ACK, Payload: 40,
	}.IP()
	for range n {
		if _, err := unix.Write(fd, p); err != nil {
			t.Fatalf("write to tun0: %v", err)
		}
	}
}

// beRefused has n packets arrive that the device drops: of IP version 0
// (tun_get_user in drivers/net/tun.c). It counts them in rx_dropped.
func beRefused(t *testing.T, fd, n int) {
	t.Helper()
	for range n {
		if _, err := unix.Write(fd, make([]byte, 20)); !errors.Is(err, unix.EINVAL) {
			t.Fatalf("write to tun0: %v, want %v", err, unix.EINVAL)
		}
	}
}

// kernelSays returns a counter of an interface as sysfs has it.
func kernelSays(t *testing.T, ns *lab.NS, iface, counter string) uint64 {
	t.Helper()
	text := ns.Run(t, "cat", "/sys/class/net/"+iface+"/statistics/"+counter)
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func awaitComplete(t *testing.T, w *Watcher, want bool, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); w.Figures().Complete != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v the figures are still not complete=%v: %+v", within, want, w.Figures())
		}
	}
}

// A capture in a namespace of its own: each loss makes its figures doubtful, and when it has passed
// they are trusted again.
func TestLossesOfARealCapture(t *testing.T) {
	const doubtTime = 1500 * time.Millisecond
	ns := lab.New(t).A
	fd := tun(t, ns)

	var c *capture.Capture
	var w *Watcher
	var mtu atomic.Uint32
	var index atomic.Int64
	worker, err := worker.New(worker.Config{MaxConnections: 10, StreamAge: time.Minute, FinalizedAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	open := func() (r *ring.Ring, err error) {
		err = ns.Do(func() error {
			i, err := net.InterfaceByName("tun0")
			if err != nil {
				return err
			}
			if index.Store(int64(i.Index)); i.Flags&net.FlagUp == 0 {
				return ring.ErrDown
			}
			// Two small blocks: some dozens of packets.
			r, err = ring.Open(ring.Config{IfIndex: i.Index, BlockSize: 4096, NumBlocks: 2, FrameSize: 2048, RetireTov: 8 * time.Millisecond})
			return err
		})
		return r, err
	}
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	clock := func() (mono, real int64) {
		now := time.Now()
		return int64(now.Sub(start)), now.UnixNano()
	}
	c = capture.New(worker, r, open, clock, func(ch capture.Change) { t.Logf("%+v", ch) })
	err = ns.Do(func() error {
		w = New(Config{
			Interface: "tun0", DoubtTime: doubtTime, MTU: mtu.Store, Report: func(err error) { t.Errorf("reported: %v", err) },
			Capture: func() Capture {
				s := c.Stats()
				return Capture{Lost: s.Lost(), Up: s.InterfaceUp, IfIndex: s.IfIndex}
			},
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-watched
	})
	if f := w.Figures(); !f.Complete || len(f.Links) != 1 || f.Links[0] != (Link{Name: "tun0"}) || !f.Softnet {
		t.Fatalf("at the start: %+v", f)
	}
	if mtu.Load() != 1500 {
		t.Errorf("MTU %d", mtu.Load())
	}

	t.Log("the device throws packets away")
	beRefused(t, fd, 5)
	awaitComplete(t, w, false, 3*time.Second)
	if got, want := w.Figures().Links[0].Lost[RxDropped], kernelSays(t, ns, "tun0", "rx_dropped"); got != 5 || want != 5 {
		t.Errorf("rx_dropped is %d, the kernel says %d, want 5", got, want)
	}
	awaitComplete(t, w, true, 5*time.Second)

	t.Log("the ring is full before anybody walks it")
	arrive(t, fd, 300)
	if !w.Figures().Complete {
		t.Error("doubtful before the worker has read its counters")
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run() }()
	defer func() {
		c.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	awaitComplete(t, w, false, 2*time.Second)
	s := c.Stats()
	if s.Dropped == 0 || s.Freezes == 0 || s.IfIndex != int(index.Load()) {
		t.Errorf("%d dropped, %d freezes, interface %d; want some, some, %d", s.Dropped, s.Freezes, s.IfIndex, index.Load())
	}
	awaitComplete(t, w, true, 5*time.Second)

	t.Log("packets that are not lost")
	for range 10 {
		arrive(t, fd, 5)
		time.Sleep(20 * time.Millisecond)
	}
	if !w.Figures().Complete {
		t.Errorf("doubtful without a loss: %+v", w.Figures())
	}

	t.Log("the interface goes down and comes back")
	ns.Run(t, "ip", "link", "set", "tun0", "down")
	awaitComplete(t, w, false, 2*time.Second)
	ns.Run(t, "ip", "link", "set", "tun0", "mtu", "1400", "up")
	awaitComplete(t, w, true, 2*time.Second+2*doubtTime+2*time.Second)
	if got := w.Figures().Links[0].Lost[RxDropped]; got != 5 {
		t.Errorf("rx_dropped is %d after the interface was away, want 5 as before", got)
	}
	// The figures are complete again a doubtTime after the loss, which may be before the next sample.
	for end := time.Now().Add(2 * interval); mtu.Load() != 1400; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("MTU %d, want the new one", mtu.Load())
		}
	}
}

// What a reading costs with one interface, and with thousands.
func BenchmarkSample(b *testing.B) {
	need.Root(b)
	for _, interfaces := range []int{0, 10, 1000} {
		name := fmt.Sprintf("all=%d", interfaces)
		if interfaces == 0 {
			name = "one"
		}
		b.Run(name, func(b *testing.B) {
			ns := lab.New(b).A
			var batch strings.Builder
			for i := range interfaces {
				fmt.Fprintf(&batch, "link add dum%d type bridge\n", i)
			}
			if interfaces > 0 {
				ns.Run(b, "sh", "-c", "printf '%s' '"+batch.String()+"' | ip -batch -")
			}
			var w *Watcher
			if err := ns.Do(func() error {
				i, err := net.InterfaceByName(lab.IfName)
				if err != nil {
					return err
				}
				c := Capture{Up: true}
				if interfaces == 0 {
					c.IfIndex = i.Index
				}
				w = New(Config{Interface: lab.IfName, Capture: func() Capture { return c }})
				return nil
			}); err != nil {
				b.Fatal(err)
			}
			defer w.links.Close()
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				w.sample(now)
			}
			if w.linksErr != nil || w.softErr != nil {
				b.Fatal(w.linksErr, w.softErr)
			}
		})
	}
	b.Run("figures", func(b *testing.B) {
		w := New(Config{Interface: "lo", Capture: func() Capture { return Capture{Up: true, IfIndex: 1} }})
		defer w.links.Close()
		b.ReportAllocs()
		for b.Loop() {
			sink += uint64(len(w.Figures().Links))
		}
	})
}

var sink uint64
