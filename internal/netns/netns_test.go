package netns

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

func add(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add %s: %v: %s", name, err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() }) // it may be gone already
}

func TestSweepRemovesLeftoversOfDeadProcesses(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left, own := fmt.Sprintf("%s%d-0-a", prefix, dead.Process.Pid), NewName()+"-a"
	add(t, left)
	add(t, own)
	Sweep()
	if Exists(left) {
		t.Errorf("%s is there after the sweep", left)
	}
	if !Exists(own) {
		t.Error("the sweep removed a namespace of this process")
	}
}

func TestDoRunsInTheNamespace(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	name := NewName() + "-a"
	add(t, name)
	interfaces := func() (n int, err error) {
		all, err := net.Interfaces()
		return len(all), err
	}
	inside := 0
	if err := Do(name, func() (err error) { inside, err = interfaces(); return err }); err != nil || inside != 1 {
		t.Errorf("%d interfaces in a new namespace, %v; want lo alone", inside, err)
	}
	failing := errors.New("failing")
	if err := Do(name, func() error { return failing }); err != failing {
		t.Errorf("error %v, want %v", err, failing)
	}
	if err := Do(name, func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that ends its goroutine gives no error")
	}
	if err := Do("no-such-namespace", func() error { t.Error("it ran"); return nil }); err == nil || !strings.Contains(err.Error(), "no-such-namespace") {
		t.Errorf("error %v", err)
	}
}
