package netif

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// patience is long even on a busy machine: what these tests wait for takes milliseconds.
const patience = 10 * time.Second

// waits returns a channel that has the result of every Wait until the first error.
func waits(w *Watch) <-chan error {
	ended := make(chan error, 1<<16)
	go func() {
		defer close(ended)
		for {
			err := w.Wait()
			ended <- err
			if err != nil {
				return
			}
		}
	}()
	return ended
}

func watchIn(t *testing.T, ns *lab.NS) (w *Watch) {
	t.Helper()
	do(t, ns, func() (err error) {
		w, err = NewWatch()
		return err
	})
	t.Cleanup(func() { _ = w.Close() }) // again, where the test has closed it
	return w
}

// Every kind of change ends a Wait, and nothing else does.
func TestWatch(t *testing.T) {
	ns := lab.New(t).A
	w := watchIn(t, ns)
	ended := waits(w)
	drain := func() {
		for quiet := false; !quiet; {
			select {
			case <-ended:
			case <-time.After(300 * time.Millisecond):
				quiet = true
			}
		}
	}
	drain()
	for _, change := range [][]string{
		{"link", "add", "new0", "type", "bridge"},
		{"link", "set", "new0", "up"},
		{"link", "set", "new0", "mtu", "1400"},
		{"link", "set", "new0", "down"},
		{"link", "set", "new0", "name", "other0"},
		{"link", "del", "other0"},
	} {
		ns.Run(t, "ip", change...)
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v", change, err)
			}
		case <-time.After(patience):
			t.Fatalf("%v: nothing is reported within %v", change, patience)
		}
		drain()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v, want %v", err, os.ErrClosed)
		}
	case <-time.After(patience):
		t.Error("Close does not end a Wait")
	}
}

// More changes than the socket has room for, before anybody waits, are a change and no error.
func TestWatchOverflows(t *testing.T) {
	ns := lab.New(t).A
	w := watchIn(t, ns)
	raw, err := w.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var tooSmall error
	if err := raw.Control(func(fd uintptr) {
		tooSmall = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // the kernel makes it the least there is
	}); err != nil || tooSmall != nil {
		t.Fatal(err, tooSmall)
	}
	overflow := func() {
		ns.Run(t, "sh", "-c", "for i in $(seq 30); do echo link set "+lab.IfName+" mtu $((1400+i)); done | ip -batch -")
	}
	overflow()
	for err := error(nil); !errors.Is(err, unix.ENOBUFS); { // so that the test is of what it says
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.file.Read(w.buf[:])
	}
	overflow()
	ended := waits(w)
	for n := 0; ; n++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("after %d: %v", n, err)
			}
			continue
		case <-time.After(300 * time.Millisecond):
		}
		if n == 0 {
			t.Error("nothing is reported of 30 changes")
		}
		break
	}
	ns.Run(t, "ip", "link", "set", lab.IfName, "mtu", "1300")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after the overflow: %v", err)
		}
	case <-time.After(patience):
		t.Error("after the overflow nothing is reported any more")
	}
}
