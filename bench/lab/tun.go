package lab

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// tunFile is the file that makes tun devices.
const tunFile = "/dev/net/tun"

// tunQueue is the number of packets that a tun device queues for its reader. TCP keeps less than this in
// flight, so that the device itself drops nothing.
const tunQueue = "10000"

// ErrNoTun is the error of a kernel without tun devices.
var ErrNoTun = errors.New("the kernel has no tun devices (" + tunFile + " is missing): try modprobe tun")

// Tun makes a tun device in e's namespace, with an address and its prefix as 192.0.2.1/24, and
// brings it up. Each read of the descriptor, which does not block, gives one IP packet that the
// namespace sent; each write is one that arrives there. The device goes with its descriptor. It is
// silent by itself, and drops nothing while less than tunQueue packets wait.
func (e End) Tun(name, prefix string) (fd int, err error) {
	fd = -1
	err = e.Do(func() (err error) {
		fd, err = unix.Open(tunFile, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
			return ErrNoTun
		}
		if err != nil {
			return fmt.Errorf("open %s: %w", tunFile, err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return fmt.Errorf("TUNSETIFF: %w", err)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("lab: tun device %s in %s: %w", name, e.Namespace, err)
	}
	for _, argv := range [][]string{
		{"ip", "-n", e.Namespace, "link", "set", name, "multicast", "off", "addrgenmode", "none", "txqueuelen", tunQueue},
		{"ip", "-n", e.Namespace, "addr", "add", prefix, "dev", name},
		{"ip", "-n", e.Namespace, "link", "set", name, "up"},
	} {
		if err == nil {
			err = run("", argv)
		}
	}
	if err != nil && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	return fd, err
}
