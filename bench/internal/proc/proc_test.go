package proc

import (
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/need"

	"os"
)

func newPair(t *testing.T) *lab.Pair {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	p, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProgramRunsInItsNamespaceOnItsCPU(t *testing.T) {
	pair := newPair(t)
	p, err := Start(Options{Namespace: pair.B.Namespace, CPU: 0, Ready: "ready", Argv: []string{"sh", "-c",
		`trap 'exit 0' INT; ip -o link show ` + lab.Device + ` | cut -d: -f2; grep Cpus_allowed_list /proc/self/status; echo is ready >&2; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 10 & wait`}})
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		cpu, err := p.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if cpu > 20*time.Millisecond {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("%v of CPU time after a loop", cpu)
		}
	}
	if n, err := p.Switches(); err != nil || n < 1 {
		t.Errorf("%d switches, %v", n, err)
	}
	out, err := p.Stop()
	if err != nil || !strings.Contains(out, lab.Device) || !strings.Contains(out, "Cpus_allowed_list:\t0\n") {
		t.Errorf("printed %q, %v", out, err)
	}
	if _, err := p.Switches(); err == nil {
		t.Error("switches of a program that has ended")
	}
}

func TestProgramThatIsNotReadyIsAnErrorWithItsLastWords(t *testing.T) {
	pair := newPair(t)
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Namespace: pair.B.Namespace, CPU: -1, Argv: []string{"sh", "-c", "echo no such luck >&2; exit 3"}, Ready: "ready"}, "no such luck"},
		{Options{Namespace: pair.B.Namespace, CPU: -1, Argv: []string{"no-such-program"}, Ready: "ready"}, "no-such-program"},
		{Options{Namespace: "no-such-namespace", CPU: -1, Argv: []string{"true"}, Ready: "ready"}, "no-such-namespace"},
		{Options{Namespace: pair.B.Namespace, CPU: 1000, Argv: []string{"true"}, Ready: "ready"}, "CPU 1000"},
	} {
		if _, err := Start(test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.o, err, test.want)
		}
	}
}

// The test's own memory: a ring of a known size is in it.
func TestMemoryTellsTheRingFromTheRest(t *testing.T) {
	pair := newPair(t)
	self := &Proc{PID: os.Getpid(), name: "test"}
	before, err := self.Memory()
	if err != nil {
		t.Fatal(err)
	}
	var ring *walk.Ring
	const size = 8 << 20
	if err := pair.B.Do(func() (err error) {
		ring, err = walk.Open(walk.Config{IfIndex: pair.B.Index, BlockSize: 1 << 20, NumBlocks: size >> 20, SnapLen: 100})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	after, err := self.Memory()
	if err != nil {
		t.Fatal(err)
	}
	if before.Ring != 0 || after.Ring != size || after.Rest() < 1<<20 {
		t.Errorf("before %+v, with a ring of %d bytes %+v", before, size, after)
	}
}
