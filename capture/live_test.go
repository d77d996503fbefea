package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

func testClock() (mono, real int64) {
	now := time.Now()
	return int64(now.Sub(testStart)), now.UnixNano()
}

var testStart = time.Now().Add(-time.Hour)

// loCapture captures TCP of one port on lo until the test ends.
func loCapture(t *testing.T, port int) *Capture {
	t.Helper()
	need.Root(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	filter, err := pcapfilter.Compile(fmt.Sprintf("tcp and port %d", port), pcapfilter.EN10MB, 192)
	if err != nil {
		t.Fatal(err)
	}
	cfg := ring.Config{
		IfIndex: lo.Index, BlockSize: 1 << 16, NumBlocks: 16, FrameSize: 2048,
		RetireTov: 8 * time.Millisecond, Filter: filter, IgnoreOutgoing: true,
	}
	r, err := ring.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute, GroupMax: 10})
	c := New(w, r, func() (*ring.Ring, error) { return ring.Open(cfg) }, testClock, func(ch Change) { t.Logf("%+v", ch) })
	done := make(chan error, 1)
	go func() { done <- c.Run() }()
	t.Cleanup(func() {
		c.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// talk sends n bytes over a new connection to l and waits until they have come back
// and both ends have closed.
func talk(t *testing.T, l net.Listener, n int) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	go c.Write(make([]byte, n))
	if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
		t.Error(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	io.Copy(io.Discard, c) // until the server has closed, too: its FIN is of this talk
}

func echoServer(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l
}

// Readers take snapshots while packets come in. What one reading had is in the next too, since nothing
// ages here, and every byte of every connection is in the last one.
func TestSnapshotsWhileCapturing(t *testing.T) {
	l := echoServer(t)
	c := loCapture(t, l.Addr().(*net.TCPAddr).Port)
	const connections, size = 40, 100_000
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var s worker.Snapshot
			for before := 0; ; before = len(s.Views) {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.Snapshot(context.Background(), &s); err != nil {
					t.Error(err)
					return
				}
				if len(s.Views) < before || len(s.Views) > 2*connections {
					t.Errorf("%d streams, want %d of the reading before to %d", len(s.Views), before, 2*connections)
				}
				c.Stats()
			}
		})
	}
	var talkers sync.WaitGroup
	for range 4 {
		talkers.Go(func() {
			for range connections / 4 {
				talk(t, l, size)
			}
		})
	}
	talkers.Wait()
	close(stop)
	readers.Wait()

	// The last packets may lie in the ring still, and a connection that is accounted during a reading is
	// in the next one. The sum of all bytes does not show that they are there: bytes sent again count in it,
	// and a busy machine's lo has some.
	var s worker.Snapshot
	whole := func() (streams int) {
		if err := c.Snapshot(context.Background(), &s); err != nil {
			t.Fatal(err)
		}
		for _, v := range s.Views {
			if v.Bytes >= size {
				streams++
			}
		}
		return streams
	}
	deadline := time.Now().Add(10 * time.Second)
	for whole() < 2*connections && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := whole(); got != 2*connections || len(s.Views) != 2*connections || s.Stats.Dropped != 0 {
		t.Errorf("%d of %d streams have all their bytes, %d frames dropped; want %d", got, len(s.Views), s.Stats.Dropped, 2*connections)
	}
}

// A reader that gives up leaves the worker free for the next one.
func TestAReaderThatGivesUp(t *testing.T) {
	c := loCapture(t, 9)
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		var s worker.Snapshot
		if err := c.Snapshot(ctx, &s); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var s worker.Snapshot
	if err := c.Snapshot(ctx, &s); err != nil {
		t.Fatal(err)
	}
}

func TestReadersAreTurnedAwayAfterTheEnd(t *testing.T) {
	need.Root(t)
	l := echoServer(t)
	var c *Capture
	t.Run("capture", func(t *testing.T) { c = loCapture(t, l.Addr().(*net.TCPAddr).Port) })
	var s worker.Snapshot
	if err := c.Snapshot(context.Background(), &s); !errors.Is(err, ErrStopped) {
		t.Errorf("%v, want %v", err, ErrStopped)
	}
}
