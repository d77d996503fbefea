package app

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
)

// link holds what the capture needs to know of an interface.
type link struct {
	name     string
	index    int // 0 for all interfaces
	loopback bool
	up       bool
	kind     pcapfilter.LinkType // what its frames start with
}

// noInterface is the error for a name that no interface bears.
type noInterface string

func (name noInterface) Error() string {
	return fmt.Sprintf("%s: no such interface: %s", withValue("interface", string(name)), interfaceList())
}

// findLink looks the interface up by name.
func findLink(name string) (link, error) {
	i, err := netif.Find(name)
	if errors.Is(err, netif.ErrNotExist) {
		return link{}, noInterface(name)
	}
	if err != nil {
		return link{}, lookFailed(name, err)
	}
	l := link{name: name, index: i.Index, kind: pcapfilter.EN10MB, loopback: i.Loopback, up: i.Up}
	switch parse.LinkFromARPHRD(i.Hatype) {
	case parse.LinkEthernet:
	case parse.LinkRaw:
		l.kind = pcapfilter.Raw
	default:
		return link{}, fmt.Errorf("%s: it has hardware type %d (ARPHRD_ in linux/if_arp.h), which is not decoded: use an Ethernet, loopback, tun, PPP or tunnel interface",
			withValue("interface", name), i.Hatype)
	}
	return l, nil
}

// lookFailed returns the error of a look for interfaces.
func lookFailed(name string, err error) error {
	return fmt.Errorf("%s: look for it: %w%s", withValue("interface", name), lookError(err), netlinkRemedy(err))
}

// chooseInterface takes the interface of the default route where there is no eth0, and reports
// whether it did.
func (o *options) chooseInterface() bool {
	if _, err := netif.Find(o.iface); err == nil {
		return false
	}
	name := netif.DefaultRoute()
	if name == "" {
		return false
	}
	o.iface = name
	return true
}

// lookError words the error of an interface look-up as package net does.
func lookError(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return fmt.Errorf("route ip+net: netlinkrib: %w", errno)
	}
	return err
}

// netlinkRemedy returns the remedy for a refused rtnetlink(7) request.
func netlinkRemedy(err error) string {
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPERM) {
		return ": allow AF_NETLINK (RestrictAddressFamilies= in a systemd unit)"
	}
	return ""
}

// interfaceList names the interfaces that exist, for messages.
func interfaceList() string {
	all, err := netif.List()
	if err != nil || len(all) == 0 {
		return "there are no interfaces here"
	}
	names := []string{netif.AnyInterface}
	for _, i := range all {
		names = append(names, i.Name)
	}
	return "use one of " + strings.Join(names, ", ")
}
