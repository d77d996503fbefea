package lab

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/need"
)

func newPair(t *testing.T, o Options) *Pair {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "ethtool")
	p, err := New(o)
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

func exists(namespace string) bool {
	_, err := os.Stat(filepath.Join(namespaces, namespace))
	return err == nil
}

func TestPairIsUpSilentAndGoneAfterClose(t *testing.T) {
	p := newPair(t, Options{MTU: 9000, OffloadsOff: true, Queues: 2, RPS: 1})
	for _, e := range []End{p.A, p.B} {
		err := e.Do(func() error {
			ifi, err := net.InterfaceByName(Device)
			if err != nil {
				return err
			}
			if ifi.MTU != 9000 || ifi.Flags&net.FlagRunning == 0 || ifi.Index != e.Index || ifi.HardwareAddr.String() != e.MAC.String() {
				t.Errorf("interface %+v of %+v", ifi, e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := e.Command("ethtool", "-k", Device).Output()
		if err != nil || !strings.Contains(string(out), "tcp-segmentation-offload: off") || !strings.Contains(string(out), "tx-checksumming: off") {
			t.Errorf("offloads: %v\n%s", err, out)
		}
	}
	for _, queue := range []string{"rx-0", "rx-1"} {
		out, err := p.B.Command("cat", "/sys/class/net/"+Device+"/queues/"+queue+"/rps_cpus").Output()
		if err != nil || strings.TrimSpace(string(out)) != "1" {
			t.Errorf("RPS of %s: %q, %v", queue, out, err)
		}
	}

	var ring *walk.Ring
	err := p.B.Do(func() (err error) {
		ring, err = walk.Open(walk.Config{IfIndex: p.B.Index, BlockSize: 1 << 16, NumBlocks: 4, SnapLen: 96})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	time.Sleep(700 * time.Millisecond) // router solicitations and the like come within the first second
	if s, err := ring.Stats(); err != nil || s.Packets != 0 {
		t.Errorf("an idle line: %+v, %v, want silence", s, err)
	}

	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(p.A.Namespace) || exists(p.B.Namespace) {
		t.Error("a namespace is left")
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestPairOfADeadProcessIsSweptAndALivingOneIsNot(t *testing.T) {
	dead, alive := newPair(t, Options{}), newPair(t, Options{})
	// What the kernel does when a process dies: the lock goes, the file stays.
	if err := dead.lock.Close(); err != nil {
		t.Fatal(err)
	}
	dead.lock = nil // so that Close at the end of the test has nothing to do
	newPair(t, Options{})
	if exists(dead.A.Namespace) || exists(dead.B.Namespace) {
		t.Error("the dead process's pair is still there")
	}
	if !exists(alive.A.Namespace) || !exists(alive.B.Namespace) {
		t.Error("the living pair is gone")
	}
}

func TestFailedNewLeavesNothing(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	_, err := New(Options{MTU: 1 << 20})
	if err == nil {
		t.Fatal("an MTU of 2^20 bytes was accepted")
	}
	name := regexp.MustCompile(`ip -n (tse-[0-9a-f]{8})-a link set veth0 mtu 1048576`).FindStringSubmatch(err.Error())
	if name == nil {
		t.Fatalf("error %q does not name the command", err)
	}
	if exists(name[1]+"-a") || exists(name[1]+"-b") {
		t.Error("a namespace is left")
	}
	if _, err := os.Stat(filepath.Join(lockDir(), name[1])); err == nil {
		t.Error("the lock is left")
	}
}

func TestInUnknownNamespace(t *testing.T) {
	err := In("no-such-namespace", func() error { t.Error("it ran"); return nil })
	if err == nil || !strings.Contains(err.Error(), "no-such-namespace") {
		t.Errorf("error %v", err)
	}
}
