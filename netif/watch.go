package netif

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Watch learns from rtnetlink(7) that some interface has been made, deleted, renamed, set up or down, or
// changed otherwise. While none changes it costs nothing: its goroutine is parked with Go's poller.
type Watch struct {
	file *os.File
	buf  [4096]byte
}

// NewWatch begins to watch the interfaces of the network namespace that the calling thread is in.
func NewWatch() (*Watch, error) {
	file, err := openEvents()
	if err != nil {
		return nil, err
	}
	return &Watch{file: file}, nil
}

// openEvents opens a socket that receives a message of every change (RTMGRP_LINK), for Go's poller.
func openEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		_ = unix.Close(fd) // nothing was sent or received on it
		return nil, fmt.Errorf("netlink socket: join RTMGRP_LINK: %w", err)
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// Wait blocks until something has changed since the last Wait, and does not say what. The error is
// os.ErrClosed after Close, which may come from any goroutine and ends a Wait.
func (w *Watch) Wait() error {
	_, err := w.file.Read(w.buf[:])
	if err == nil || errors.Is(err, unix.ENOBUFS) { // more has changed than the socket has room for
		return nil
	}
	return fmt.Errorf("netlink socket: %w", err)
}

// Close ends the watch.
func (w *Watch) Close() error { return w.file.Close() }
