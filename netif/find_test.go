package netif

import (
	"errors"
	"testing"

	"tcp-stream-exporter/internal/lab"
)

func TestFind(t *testing.T) {
	ns := lab.New(t).A
	ns.Run(t, "ip", "link", "property", "add", "dev", lab.IfName, "altname", "another-name-of-the-veth")
	do(t, ns, func() error {
		if i, err := Find(lab.IfName); err != nil || i.Name != lab.IfName || i.Index == 0 {
			t.Errorf("%s: %+v, %v", lab.IfName, i, err)
		}
		for _, name := range []string{"", "none", lab.IfName + "\x00", "a-name-longer-than-any-may-be", "another-name-of-the-veth", "veth"} {
			if i, err := Find(name); !errors.Is(err, ErrNotExist) {
				t.Errorf("%q: %+v, %v; want %v", name, i, err, ErrNotExist)
			}
		}
		return nil
	})
}

func TestDefaultRoute(t *testing.T) {
	l := lab.New(t)
	ns := l.A
	is := func(when, want string) {
		t.Helper()
		do(t, ns, func() error {
			if got := DefaultRoute(); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
			return nil
		})
	}
	is("no default route", "")
	ns.Run(t, "ip", "link", "add", "low0", "type", "bridge")
	ns.Run(t, "ip", "link", "set", "low0", "up")
	ns.Run(t, "ip", "route", "add", "default", "dev", "low0", "metric", "200")
	is("one", "low0")
	ns.Run(t, "ip", "route", "add", "default", "via", l.B.Addr.String(), "metric", "100")
	is("two, the second with a lower metric", lab.IfName)
	ns.Run(t, "ip", "route", "add", "0.0.0.0/1", "dev", "low0")
	is("half of all addresses is not the default", lab.IfName)
	ns.Run(t, "ip", "link", "del", "low0")
	is("one of two", lab.IfName)
}
