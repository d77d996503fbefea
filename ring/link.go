//go:build linux

package ring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Link holds the state of the interface that a ring is bound to. Its name, whether it is up
// and even its hardware type may change while its index stays.
type Link struct {
	Name   string
	Hatype uint16 // ARPHRD_, linux/if_arp.h
	Up     bool   // administratively (IFF_UP)
}

// Link asks for the interface as it is now: three requests of netdevice(7), which do not take the lock of all
// interfaces (rtnl_lock; dev_ioctl in net/core/dev_ioctl.c) and last about a microsecond. It is not in package
// netif for two reasons: rtnetlink(7), which netif uses and which has more, may wait for that lock, and the
// caller is the goroutine that walks the ring; and the requests go to the ring's own socket, whose network
// namespace is the interface's, whatever thread the caller is on. All interfaces at once are the zero Link, but
// up. The error is ErrGone once the interface is deleted, os.ErrClosed after Close.
func (r *Ring) Link() (Link, error) {
	index, err := r.IfIndex()
	switch {
	case err != nil:
		return Link{}, err
	case index == 0:
		return Link{Up: true}, nil
	case index < 0:
		return Link{}, ErrGone
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return Link{}, errClosed("ask for the interface")
	}
	// The answer to the first request is the name, by which the others ask.
	ask, err := unix.NewIfreq("")
	if err != nil {
		return Link{}, fmt.Errorf("ifreq: %w", err)
	}
	ask.SetUint32(uint32(index)) // ifr_ifindex
	if err := unix.IoctlIfreq(r.fd, unix.SIOCGIFNAME, ask); err != nil {
		return Link{}, linkError("SIOCGIFNAME", err)
	}
	l := Link{Name: ask.Name()}
	if err := unix.IoctlIfreq(r.fd, unix.SIOCGIFHWADDR, ask); err != nil {
		return Link{}, linkError("SIOCGIFHWADDR", err)
	}
	l.Hatype = ask.Uint16() // sa_family of ifr_hwaddr
	if err := unix.IoctlIfreq(r.fd, unix.SIOCGIFFLAGS, ask); err != nil {
		return Link{}, linkError("SIOCGIFFLAGS", err)
	}
	l.Up = ask.Uint16()&unix.IFF_UP != 0
	return l, nil
}

// linkError returns the error of a request that failed. If there is no such interface any more, it has
// been deleted or renamed since the request before.
func linkError(request string, err error) error {
	if err == unix.ENODEV || err == unix.ENXIO {
		return fmt.Errorf("%s: %w: %w", request, ErrGone, err)
	}
	return fmt.Errorf("%s: %w", request, err)
}
