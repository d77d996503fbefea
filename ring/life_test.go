package ring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/need"
)

func TestStatisticsCountDropsAndSurviveReading(t *testing.T) {
	cap0, gen0 := veth(t)
	c := small(t, cap0)
	c.BlockSize, c.NumBlocks = PageSize(), 2
	r := mustOpen(t, c)
	s := newSender(t, gen0)
	room := 0 // frames of 1514 bytes that the ring took
	for round := 1; round <= 3; round++ {
		for i := range 100 {
			s.send(t, numbered(i, 1514))
		}
		var st Stats
		eventually(t, fmt.Sprintf("%d packets counted", round*100), func() bool { // reads many times
			var err error
			if st, err = r.Stats(); err != nil {
				t.Fatal(err)
			}
			return st.Packets >= uint64(round*100)
		})
		if st.Packets != uint64(round*100) || st.Drops == 0 || st.Freezes == 0 {
			t.Fatalf("round %d: %+v, want %d packets with drops and freezes", round, st, round*100)
		}
		again, err := r.Stats()
		if again != st || err != nil {
			t.Fatalf("round %d: %+v, then %+v, %v", round, st, again, err)
		}
		room += len(collect(t, r, -1, 30*time.Millisecond))
		if uint64(room)+st.Drops != st.Packets {
			t.Errorf("round %d: %d frames read and %d dropped of %d", round, room, st.Drops, st.Packets)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := r.Stats(); !errors.Is(err, os.ErrClosed) || st.Packets != 300 {
		t.Errorf("after Close: %+v, %v; want the last figures and os.ErrClosed", st, err)
	}
}

func TestLosingIsSaidOfBlocksClosedAfterADrop(t *testing.T) {
	cap0, gen0 := veth(t)
	c := small(t, cap0)
	c.BlockSize, c.NumBlocks = PageSize(), 2
	r := mustOpen(t, c)
	s := newSender(t, gen0)
	for i := range 50 {
		s.send(t, numbered(i, 1514))
	}
	collect(t, r, -1, 30*time.Millisecond)
	s.send(t, numbered(50, 60)) // with the drops not read
	losing := func() bool {
		var b Block
		ok := false
		eventually(t, "a block", func() bool { b, ok = r.Next(); return ok })
		r.Release()
		return b.Losing()
	}
	if !losing() {
		t.Error("a block closed with unread drops does not say so")
	}
	if _, err := r.Stats(); err != nil {
		t.Fatal(err)
	}
	s.send(t, numbered(51, 60))
	if losing() {
		t.Error("a block closed after the drops were read says so still")
	}
}

// waits calls Wait with a timeout of 50 ms for 300 ms: 6 times if it waits, without end if it spins.
func waits(t *testing.T, r *Ring) (n int, errs []error) {
	t.Helper()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); n++ {
		if err := r.Wait(50 * time.Millisecond); err != nil {
			errs = append(errs, err)
		}
		if _, ok := r.Next(); ok {
			t.Fatal("a block on a silent interface")
		}
	}
	return n, errs
}

func TestInterfaceGoesDownUpAndAway(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, cap0))
	s := newSender(t, gen0)
	s.send(t, numbered(1, 60))
	collect(t, r, 1, 0)

	ip(t, "link set cap0 down")
	n, errs := waits(t, r)
	if len(errs) != 1 || !errors.Is(errs[0], ErrDown) || errors.Is(errs[0], ErrGone) {
		t.Errorf("down: errors %v, want ErrDown once", errs)
	}
	if n > 8 {
		t.Errorf("down: Wait(50ms) returned %d times in 300 ms", n)
	}

	ip(t, "link set cap0 up")
	// gen0 regains its carrier, too, but the kernel lets it send only some time after that.
	eventually(t, "frame 2 after the interface came up again", func() bool {
		s.send(t, numbered(2, 60))
		got := collect(t, r, -1, 10*time.Millisecond)
		return len(got) > 0 && numberOf(got[0]) == 2
	})
	if i, err := r.IfIndex(); i != cap0 || err != nil {
		t.Errorf("up again: IfIndex %d, %v; want %d", i, err, cap0)
	}

	ip(t, "link del cap0")
	n, errs = waits(t, r)
	if len(errs) == 0 || !errors.Is(errs[len(errs)-1], ErrGone) {
		t.Errorf("deleted: errors %v, want ErrGone", errs)
	}
	if n > 8 {
		t.Errorf("deleted: Wait(50ms) returned %d times in 300 ms", n)
	}
	if i, err := r.IfIndex(); i != -1 || err != nil {
		t.Errorf("deleted: IfIndex %d, %v; want -1", i, err)
	}
}

func TestInterfaceDeletedWhileDown(t *testing.T) {
	cap0, _ := veth(t)
	r := mustOpen(t, small(t, cap0))
	ip(t, "link set cap0 down")
	if err := r.Wait(time.Second); !errors.Is(err, ErrDown) {
		t.Fatalf("down: %v, want ErrDown", err)
	}
	ip(t, "link del cap0") // of which the kernel says nothing
	n, errs := waits(t, r)
	if len(errs) == 0 || !errors.Is(errs[0], ErrGone) {
		t.Errorf("errors %v, want ErrGone", errs)
	}
	if n > 8 {
		t.Errorf("Wait(50ms) returned %d times in 300 ms", n)
	}
}

func TestFramesBeforeTheEndAreNotLost(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, cap0))
	newSender(t, gen0).send(t, numbered(1, 60))
	ip(t, "link del cap0")
	if err := r.Wait(time.Second); !errors.Is(err, ErrGone) || errors.Is(err, ErrDown) {
		t.Fatalf("deleted: %v, want ErrGone", err) // SO_ERROR alone says ENETDOWN
	}
	eventually(t, "the frame sent before", func() bool {
		b, ok := r.Next()
		return ok && b.Len() == 1
	})
}

func TestWait(t *testing.T) {
	for _, locked := range []bool{false, true} {
		t.Run(fmt.Sprintf("locked to a thread: %v", locked), func(t *testing.T) {
			if locked {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			testWait(t)
		})
	}
}

func testWait(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, cap0))
	took := func(d time.Duration) time.Duration {
		t.Helper()
		start := time.Now()
		if err := r.Wait(d); err != nil {
			t.Fatalf("Wait(%s): %v", d, err)
		}
		return time.Since(start)
	}
	if d := took(0); d > 50*time.Millisecond {
		t.Errorf("Wait(0) took %s", d)
	}
	for _, want := range []time.Duration{30 * time.Millisecond, 300 * time.Microsecond} {
		if d := took(want); d < want {
			t.Errorf("Wait(%s) on a silent interface took %s", want, d)
		}
	}

	r.Wake()
	r.Wake()
	if d := took(time.Minute); d > time.Second {
		t.Errorf("after Wake, Wait took %s", d)
	}
	if d := took(20 * time.Millisecond); d < 20*time.Millisecond {
		t.Errorf("two Wakes ended a second Wait after %s", d)
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		r.Wake()
	}()
	if d := took(-1); d < 10*time.Millisecond {
		t.Errorf("Wait without a timeout ended after %s, before Wake", d)
	}

	newSender(t, gen0).send(t, numbered(1, 60))
	if d := took(time.Minute); d > time.Second {
		t.Errorf("with a frame on its way, Wait took %s", d)
	}
	b, ok := r.Next()
	if !ok || b.Len() != 1 || !b.TimedOut() {
		t.Errorf("a block: %v with %d frames, timed out %v; want one of 1 frame, closed by the timer", ok, b.Len(), b.TimedOut())
	}
	if b, ok := r.Next(); !ok || b.Len() != 1 {
		t.Error("before Release, Next is another block")
	}
	if err := r.Wait(0); err == nil {
		t.Error("Wait between Next and Release would spin, and said nothing")
	}
	r.Release()
	cur := r.cur
	r.Release()
	if r.cur != cur {
		t.Error("a second Release gave back a block that nobody had read")
	}
	for _, d := range []time.Duration{0, 100 * time.Microsecond} {
		if n := testing.AllocsPerRun(20, func() { _ = r.Wait(d); r.Next() }); n != 0 {
			t.Errorf("Wait(%v) and Next: %v allocations, want 0", d, n)
		}
	}
	if n := testing.AllocsPerRun(20, func() { _ = r.Nap(100 * time.Microsecond); _ = r.Wait(0) }); n != 0 {
		t.Errorf("Nap and Wait: %v allocations, want 0", n)
	}
}

// A nap is not ended by frames, which are there after it, but by Wake.
func TestNap(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, cap0))
	newSender(t, gen0).send(t, numbered(1, 60))
	for begin := time.Now(); time.Since(begin) < 100*time.Millisecond; {
		if err := r.Nap(100 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d < 50*time.Millisecond {
			t.Fatalf("a nap of 100ms ended after %s, with a frame", d)
		}
	}
	if b, ok := r.Next(); !ok || b.Len() != 1 {
		t.Error("no block of one frame after the nap")
	}
	r.Release()
	begin := time.Now()
	go func() {
		time.Sleep(20 * time.Millisecond)
		r.Wake()
	}()
	if err := r.Nap(time.Minute); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("Wake did not end a nap: %v after %s", err, time.Since(begin))
	}
	// The next wait sees frames again.
	newSender(t, gen0).send(t, numbered(2, 60))
	begin = time.Now()
	if err := r.Wait(time.Minute); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("with a frame on its way after a nap, Wait took %s: %v", time.Since(begin), err)
	}
	if n := r.Blocks(); n != len(r.mem)/r.blockSize || n < 2 {
		t.Errorf("%d blocks", n)
	}
	r.Close()
	if err := r.Nap(time.Minute); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Nap after Close: %v, want os.ErrClosed", err)
	}
}

// Goroutines that wait take up no threads, are not ended by what stops the world, and do not delay it.
func TestWaitingTakesNoThread(t *testing.T) {
	cap0, _ := veth(t)
	const rings = 16
	var over atomic.Bool
	ended := make(chan error, rings)
	var all [rings]*Ring
	for i := range all {
		all[i] = mustOpen(t, small(t, cap0))
	}
	before := threads(t)
	for i, r := range all {
		wait := r.Wait
		if i%2 == 0 {
			wait = r.Nap
		}
		go func() {
			err := wait(time.Minute)
			if err == nil && !over.Load() {
				err = errors.New("it ended before Wake")
			}
			ended <- err
		}()
	}
	begin := time.Now()
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		runtime.GC()
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("20 collections took %s beside waits", d)
	}
	if n := threads(t) - before; n > rings/2 {
		t.Errorf("%d rings that are waited for have taken %d threads", rings, n)
	}
	over.Store(true)
	for _, r := range all {
		r.Wake()
	}
	for range all {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

// The thread's own time stands still while it sleeps and goes on while it works.
func TestThreadTime(t *testing.T) {
	const ms = int64(time.Millisecond)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := ThreadTime()
	time.Sleep(30 * time.Millisecond)
	if slept := ThreadTime() - begin; begin <= 0 || slept < 0 || slept > 15*ms {
		t.Errorf("%v of processor time in 30 ms of sleep, from %d", time.Duration(slept), begin)
	}
	for end := time.Now().Add(5 * time.Second); ThreadTime() < begin+30*ms; {
		if time.Now().After(end) {
			t.Fatal("no 30 ms of processor time in 5 s of work")
		}
	}
	if n := testing.AllocsPerRun(100, func() { ThreadTime() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCloseGivesEverythingBack(t *testing.T) {
	cap0, _ := veth(t)
	before := openFiles(t)
	r := mustOpen(t, small(t, cap0))
	if n := openFiles(t); n != before+4 {
		t.Errorf("%d files more while open, want 4", n-before)
	}
	addr := fmt.Sprintf("%x-", addressOf(r.mem))
	if !strings.Contains(maps(t), addr) {
		t.Fatalf("no mapping at %s while open", addr)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if n := openFiles(t); n != before {
		t.Errorf("%d files more after Close", n-before)
	}
	if strings.Contains(maps(t), addr) {
		t.Errorf("the mapping at %s is still there after Close", addr)
	}
	r.Wake()
	r.Release()
	if _, ok := r.Next(); ok {
		t.Error("a block after Close")
	}
	if err := r.Wait(time.Minute); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Wait after Close: %v, want os.ErrClosed", err)
	}
	if _, err := r.IfIndex(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("IfIndex after Close: %v, want os.ErrClosed", err)
	}
}

func TestOpenErrors(t *testing.T) {
	cap0, gen0 := veth(t)
	ip(t, "link set gen0 down")
	tooLarge := small(t, cap0)
	tooLarge.NumBlocks = 1 << 24 // the kernel's table of blocks alone is refused: no page is touched
	badFilter := small(t, cap0)
	badFilter.Filter[0].Op = 0xffff
	zero := small(t, cap0)
	zero.NumBlocks = 0
	for _, tt := range []struct {
		name string
		open func(Config) (*Ring, error)
		c    Config
		is   error
		says []string
	}{
		{"sizes are checked first", Open, zero, nil, []string{"number of blocks 0"}},
		{"an interface that does not exist", Open, small(t, 4711), ErrGone, []string{"4711", "no such device"}},
		{"an interface that is down", Open, small(t, gen0), ErrDown, []string{fmt.Sprint("index ", gen0), "ip link set dev NAME up"}},
		{"a program that is no filter", Open, badFilter, unix.EINVAL, []string{"packet filter of 4 instructions"}},
		{"more memory than there is", open, tooLarge, unix.ENOMEM,
			[]string{fmt.Sprint(tooLarge.bytes(), " bytes"), "number of blocks 16777216", "fewer or smaller blocks"}},
		{"no capability", withoutNetRaw(t, Open), small(t, cap0), unix.EPERM,
			[]string{"CAP_NET_RAW", "setcap cap_net_raw+ep", "AmbientCapabilities=CAP_NET_RAW"}},
	} {
		before := openFiles(t)
		r, err := tt.open(tt.c)
		if err == nil || r != nil {
			t.Errorf("%s: opened", tt.name)
			continue
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %q is no %q", tt.name, err, tt.is)
		}
		for _, w := range tt.says {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", tt.name, err, w)
			}
		}
		if strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: %q is more than a line", tt.name, err)
		}
		if n := openFiles(t); n != before {
			t.Errorf("%s: %d files left open", tt.name, n-before)
		}
		if strings.Contains(maps(t), "socket:") {
			t.Errorf("%s: a mapping is left", tt.name)
		}
	}
}

// withoutNetRaw opens on a thread that has given up its capabilities.
func withoutNetRaw(t *testing.T, open func(Config) (*Ring, error)) func(Config) (*Ring, error) {
	need.Root(t)
	return func(c Config) (r *Ring, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			lockThread()
			var none [2]unix.CapUserData
			hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			if err = unix.Capset(&hdr, &none[0]); err == nil {
				r, err = open(c)
			}
		}()
		<-done
		return r, err
	}
}
