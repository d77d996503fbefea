package lab

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
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
	if netns.Exists(p.A.Namespace) || netns.Exists(p.B.Namespace) {
		t.Error("a namespace is left")
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestFailedNewLeavesNothing(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	_, err := New(Options{MTU: 1 << 20})
	if err == nil {
		t.Fatal("an MTU of 2^20 bytes was accepted")
	}
	name := regexp.MustCompile(`ip -n (lab-[0-9]+-[0-9a-f]{8})-a link set veth0 mtu 1048576`).FindStringSubmatch(err.Error())
	if name == nil {
		t.Fatalf("error %q does not name the command", err)
	}
	if netns.Exists(name[1]+"-a") || netns.Exists(name[1]+"-b") {
		t.Error("a namespace is left")
	}
}
