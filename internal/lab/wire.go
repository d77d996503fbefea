package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/need"
)

const (
	tunFile  = "/dev/net/tun" // where the kernel makes tap devices
	tapQueue = "10000"        // frames that wait in a tap device for its reader
	wireMTU  = 1500
)

// encapsulate makes the link between the router and the server: tap devices in both, a veth pair, and goroutines
// between them, which end with the test.
func (r *Router) encapsulate(t testing.TB, e Encapsulation) {
	t.Helper()
	need.File(t, tunFile)
	pair(t, r.B, WireName, r.M, WireName)
	var stop, running = make(chan struct{}), sync.WaitGroup{}
	var files []*os.File
	t.Cleanup(func() {
		close(stop)
		for _, f := range files {
			_ = f.Close() // ends the reading
		}
		running.Wait()
	})
	ends := []struct {
		ns  *NS
		tap string
	}{{r.M, towardsB}, {r.B, IfName}}
	macs := make([]string, len(ends))
	for n, end := range ends {
		tap, wire, err := openEnd(end.ns, end.tap)
		for _, f := range []*os.File{tap, wire} {
			if f != nil {
				files = append(files, f)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		end.ns.Run(t, "ip", "link", "set", end.tap, "mtu", strconv.Itoa(wireMTU-e.overhead()), "txqueuelen", tapQueue, "up")
		end.ns.offloads(t, WireName, false)
		macs[n] = strings.TrimSpace(end.ns.Run(t, "cat", "/sys/class/net/"+end.tap+"/address"))
		// The frames are addressed to the tap device: they are to count as the wire's own.
		end.ns.Run(t, "ip", "link", "set", WireName, "address", macs[n])
		report := func(err error) {
			select {
			case <-stop: // because the files are closed
			default:
				t.Error(err)
			}
		}
		running.Go(func() { report(putOn(tap, wire, e)) })
		running.Go(func() { report(takeOff(wire, tap, e)) })
	}
	// ARP does not go through PPPoE and MPLS.
	r.M.Run(t, "ip", "neigh", "replace", r.B.Addr.String(), "lladdr", macs[1], "dev", towardsB, "nud", "permanent")
	r.B.Run(t, "ip", "neigh", "replace", r.M.Addr.String(), "lladdr", macs[0], "dev", IfName, "nud", "permanent")
}

// openEnd makes a tap device in the namespace, and opens a packet socket on the end of the wire there.
func openEnd(ns *NS, name string) (tap, wire *os.File, err error) {
	err = ns.Do(func() error {
		fd, err := unix.Open(tunFile, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", tunFile, err)
		}
		request, err := unix.NewIfreq(name)
		if err == nil {
			request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			_ = unix.Close(fd) // nothing depends on it
			return fmt.Errorf("TUNSETIFF: %w", err)
		}
		tap = os.NewFile(uintptr(fd), name) // Go's poller takes a tap device that has its name
		wire, err = openWire()
		return err
	})
	if err != nil {
		err = fmt.Errorf("lab: %s in %s: %w", name, ns.Name, err)
	}
	return tap, wire, err
}

// openWire opens a packet socket on the end of the wire in the thread's namespace, for readWire.
func openWire() (*os.File, error) {
	fd, err := frameSocket(WireName)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		unix.SetNonblock(fd, true), // before Go's poller looks at it
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
	); err != nil {
		_ = unix.Close(fd) // nothing was read from it
		return nil, err
	}
	return os.NewFile(uintptr(fd), WireName), nil
}

// putOn sends the frames that leave by the tap device over the wire, until one of the two is closed.
func putOn(tap, wire *os.File, e Encapsulation) error {
	var buf [maxFrame]byte
	for {
		n, err := tap.Read(buf[:])
		if err != nil {
			return fmt.Errorf("lab: %v: %w", e, err)
		}
		if frame := e.put(buf[:n]); frame != nil {
			if _, err := wire.Write(frame); err != nil {
				return fmt.Errorf("lab: %v: send %d bytes: %w", e, len(frame), err)
			}
		}
	}
}

// takeOff hands the frames that come over the wire to the tap device.
func takeOff(wire, tap *os.File, e Encapsulation) error {
	return readWire(wire, func(frame []byte) error {
		inside, err := e.take(frame)
		if err != nil {
			return err
		}
		_, err = tap.Write(inside)
		return err
	})
}

// readWire hands over each frame as it was on the wire, until the file is closed: with the VLAN tag that the
// kernel takes out of a frame that it receives.
func readWire(wire *os.File, each func(frame []byte) error) error {
	raw, err := wire.SyscallConn()
	if err != nil {
		return err
	}
	var buf [maxFrame]byte
	var control [128]byte
	for {
		var n, c, flags int
		var err error
		if e := raw.Read(func(fd uintptr) bool {
			n, c, flags, _, err = unix.Recvmsg(int(fd), buf[:], control[:], 0)
			return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
		}); e != nil {
			return e
		}
		if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = fmt.Errorf("frame of more than %d bytes: turn offloads off", len(buf))
		}
		var tag []byte
		if err == nil {
			tag, err = vlanTag(control[:c])
		}
		if err == nil {
			err = each(slices.Concat(buf[:macLen], tag, buf[macLen:n]))
		}
		if err != nil {
			return fmt.Errorf("lab: %s: %w", wire.Name(), err)
		}
	}
}

// vlanTag returns the VLAN tag that is in struct tpacket_auxdata (linux/if_packet.h), or none.
func vlanTag(control []byte) ([]byte, error) {
	const vlanTCI, vlanTPID, size = 16, 18, 20
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < size {
			continue
		}
		if status := binary.NativeEndian.Uint32(m.Data); status&unix.TP_STATUS_VLAN_VALID == 0 {
			return nil, nil
		}
		tag := binary.BigEndian.AppendUint16(nil, binary.NativeEndian.Uint16(m.Data[vlanTPID:]))
		return binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(m.Data[vlanTCI:])), nil
	}
	return nil, errors.New("no PACKET_AUXDATA")
}
