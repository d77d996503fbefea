package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// oddLink makes the interface odd0 of a hardware type that is not decoded. It goes with the file.
func oddLink(t *testing.T, ns *lab.NS) *os.File {
	t.Helper()
	need.File(t, "/dev/net/tun")
	const arphrdNetlink = 824
	var f *os.File
	err := ns.Do(func() (err error) {
		if f, err = os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq("odd0")
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TUN)
		if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, ifr); err != nil {
			return err
		}
		return unix.IoctlSetInt(int(f.Fd()), unix.TUNSETLINK, arphrdNetlink)
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFindLink(t *testing.T) {
	ns := lab.New(t).A
	ns.Run(t, "ip", "tuntap", "add", "dev", "tun0", "mode", "tun")
	ns.Run(t, "ip", "link", "add", "low0", "type", "bridge")
	odd := oddLink(t, ns)
	defer odd.Close()
	err := ns.Do(func() error {
		for _, want := range []link{
			{name: "lo", loopback: true, up: true, kind: pcapfilter.EN10MB},
			{name: lab.IfName, up: true, kind: pcapfilter.EN10MB},
			{name: "low0", kind: pcapfilter.EN10MB},
			{name: "tun0", kind: pcapfilter.Raw},
		} {
			if i, err := net.InterfaceByName(want.name); err == nil {
				want.index = i.Index
			}
			if got, err := findLink(want.name); got != want || err != nil {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
		for name, want := range map[string]string{
			"none": "-interface none: no such interface: use one of any, lo, " + lab.IfName + ", tun0, low0, odd0",
			"odd0": "-interface odd0: it has hardware type 824 (ARPHRD_ in linux/if_arp.h), which is not decoded: use an Ethernet, loopback, tun, PPP or tunnel interface",
		} {
			if got, err := findLink(name); err == nil || err.Error() != want {
				t.Errorf("%s: %+v, %v\nwant %s", name, got, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestChooseInterface(t *testing.T) {
	ns := lab.New(t).A
	is := func(when, want string, chosen bool) {
		t.Helper()
		err := ns.Do(func() error {
			o := options{iface: "eth0"}
			if got := o.chooseInterface(); got != chosen || o.iface != want {
				t.Errorf("%s: chosen %v, %s; want %v, %s", when, got, o.iface, chosen, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	is("no eth0, no default route", "eth0", false)
	ns.Run(t, "ip", "route", "add", "default", "dev", lab.IfName)
	is("no eth0", lab.IfName, true)
	ns.Run(t, "ip", "link", "add", "eth0", "type", "bridge")
	is("eth0 beside a default route", "eth0", false)
}

// Errors of an interface look-up read as package net words them.
func TestLookErrors(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EAFNOSUPPORT, syscall.EPERM, syscall.EMFILE} {
		want := &net.OpError{Op: "route", Net: "ip+net", Err: os.NewSyscallError("netlinkrib", errno)}
		if got := lookError(fmt.Errorf("rtnetlink: send: %w", errno)); got.Error() != want.Error() || !errors.Is(got, errno) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if other := errors.New("malformed"); lookError(other) != other {
		t.Errorf("%v, want %v", lookError(other), other)
	}
}
