//go:build linux

package ring

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLink(t *testing.T) {
	cap0, _ := veth(t)
	r := mustOpen(t, small(t, cap0))
	is := func(when string, want Link) {
		t.Helper()
		if l, err := r.Link(); l != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", when, l, err, want)
		}
	}
	is("at first", Link{"cap0", unix.ARPHRD_ETHER, true})
	ip(t, "link set cap0 down")
	is("down", Link{"cap0", unix.ARPHRD_ETHER, false})
	ip(t, "link set cap0 name another-name-15")
	is("renamed", Link{"another-name-15", unix.ARPHRD_ETHER, false})
	ip(t, "link add cap0 type veth peer name gen1")
	ip(t, "link set another-name-15 up")
	is("its name taken by another one", Link{"another-name-15", unix.ARPHRD_ETHER, true})
	ip(t, "link del another-name-15")
	if l, err := r.Link(); !errors.Is(err, ErrGone) {
		t.Errorf("deleted: %+v, %v; want ErrGone", l, err)
	}

	all := mustOpen(t, small(t, 0))
	if l, err := all.Link(); l != (Link{Up: true}) || err != nil {
		t.Errorf("all interfaces: %+v, %v", l, err)
	}
	if err := all.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Link(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v, want os.ErrClosed", err)
	}
}

// The kind of interface shows: a tun device has no Ethernet header.
func TestLinkOfAnotherKind(t *testing.T) {
	netns(t)
	ip(t, "tuntap add dev tun0 mode tun")
	ip(t, "link set tun0 up")
	r := mustOpen(t, small(t, ifIndex(t, "tun0")))
	if l, err := r.Link(); l != (Link{"tun0", unix.ARPHRD_NONE, true}) || err != nil {
		t.Errorf("%+v, %v", l, err)
	}
}
