package netif

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// do runs f in the namespace, on a thread of its own.
func do(t *testing.T, ns *lab.NS, f func() error) {
	t.Helper()
	if err := ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

// The interfaces of the calling thread's namespace, not of the process's first one, with the names, MTUs and
// flags that ip(8) gave them.
func TestInterfacesOfTheNamespace(t *testing.T) {
	ns := lab.New(t).A
	ns.Run(t, "ip", "link", "add", "low0", "mtu", "1234", "type", "bridge")
	ns.Run(t, "ip", "link", "add", "link", "low0", "name", "high0", "mtu", "1200", "type", "macvlan")
	got := map[string]Interface{}
	var again Interface
	do(t, ns, func() error {
		var c Conn
		defer c.Close()
		whole, err := c.All(func(i *Interface) { got[i.Name] = *i })
		if err != nil || !whole {
			t.Errorf("all: whole %v, %v", whole, err)
		}
		again, err = c.ByIndex(got["high0"].Index)
		if err != nil {
			t.Errorf("one: %v", err)
		}
		if i, err := c.ByIndex(1 << 30); !errors.Is(err, ErrNotExist) {
			t.Errorf("one that does not exist: %+v, %v", i, err)
		}
		return nil
	})
	if again != got["high0"] {
		t.Errorf("asked for alone %+v, among all %+v", again, got["high0"])
	}
	const ether, loopback = 1, 772 // ARPHRD_
	for name, want := range map[string]Interface{
		"lo":   {Hatype: loopback, MTU: 65536, Loopback: true, Up: true},
		"low0": {Hatype: ether, MTU: 1234}, "high0": {Hatype: ether, MTU: 1200, Lower: got["low0"].Index},
		lab.IfName: {Hatype: ether, MTU: 1500, Up: true}, // its other end is in another namespace
	} {
		i := got[name]
		if !i.HasStats || i.Index == 0 {
			t.Errorf("%s: %+v, want an index and statistics", name, i)
		}
		i.Index, i.Name, i.HasStats, i.Stats = 0, "", false, Stats{}
		if i != want {
			t.Errorf("%s: %+v, want %+v", name, i, want)
		}
	}
}

// Package net and sysfs describe the same interfaces alike.
func TestAgreesWithPackageNet(t *testing.T) {
	ns := lab.New(t).A
	ns.Run(t, "ip", "link", "add", "-\xff\xfe", "type", "bridge") // a name that is not UTF-8
	do(t, ns, func() error {
		want, err := net.Interfaces()
		if err != nil {
			return err
		}
		got, err := List()
		if err != nil || len(got) != len(want) {
			return fmt.Errorf("%d interfaces, %w; want %d", len(got), err, len(want))
		}
		for n, w := range want {
			g := got[n]
			if g.Name != w.Name || g.Index != w.Index || int(g.MTU) != w.MTU ||
				g.Up != (w.Flags&net.FlagUp != 0) || g.Loopback != (w.Flags&net.FlagLoopback != 0) {
				t.Errorf("%+v, want %+v", g, w)
			}
			if one, err := Find(w.Name); err != nil || one.Index != w.Index {
				t.Errorf("Find(%q): %+v, %v", w.Name, one, err)
			}
		}
		return nil
	})
}

// A list of more interfaces than one datagram holds comes whole, and each of them once.
func TestALongList(t *testing.T) {
	ns := lab.New(t).A
	const many = 100
	ns.Run(t, "sh", "-c", "for i in $(seq 100); do echo link add br$i type bridge; done | ip -batch -")
	do(t, ns, func() error {
		all, err := List()
		if err != nil {
			return err
		}
		names := map[string]bool{}
		for _, i := range all {
			names[i.Name] = true
		}
		if len(all) < many || len(names) != len(all) || !names["br1"] || !names["br100"] {
			t.Errorf("%d interfaces of %d names", len(all), len(names))
		}
		return nil
	})
}

// After an error a Conn goes on with another socket, and after Close too.
func TestConnOpensAnotherSocket(t *testing.T) {
	var c Conn
	defer c.Close()
	ask := func() error {
		_, err := c.ByIndex(1)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := unix.Dup3(int(null.Fd()), c.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, unix.ENOTSOCK) || !strings.HasPrefix(err.Error(), "rtnetlink: send: ") {
		t.Errorf("with something else in place of the socket: %v", err)
	}
	if err := ask(); err != nil {
		t.Errorf("after an error: %v", err)
	}
	c.Close()
	if err := ask(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// An answer that has more than there is room for is an error, and the next one has room.
func TestAnAnswerThatIsCutOff(t *testing.T) {
	c := Conn{buf: make([]byte, 100)}
	defer c.Close()
	if _, err := c.ByIndex(1); err == nil || !strings.Contains(err.Error(), "is cut off at 100") {
		t.Errorf("with 100 bytes: %v", err)
	}
	if i, err := c.ByIndex(1); err != nil || i.Index != 1 {
		t.Errorf("the next time: %+v, %v", i, err)
	}
}

// With a timeout an answer that does not come ends the wait.
func TestNoAnswer(t *testing.T) {
	c := Conn{Timeout: 20 * time.Millisecond}
	defer c.Close()
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // accepts 0 bytes: the answer does not come
	if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ByIndex(1); err == nil || err.Error() != "rtnetlink: no answer within 20ms" {
		t.Errorf("without an answer: %v", err)
	}
	if i, err := c.ByIndex(1); err != nil || i.Index != 1 {
		t.Errorf("the next time: %+v, %v", i, err)
	}
}
