package e2e

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
)

const (
	beatEvery   = 2 * time.Millisecond
	beatPayload = 100 // bytes
)

// beat is a steady stream of segments out of whatever interface is called lab.IfName just now. A
// connection of the kernel's would wait for seconds after each interruption.
type beat struct {
	flow   lab.Flow
	paused atomic.Bool
}

// startBeat sends until the test ends. To the receiving kernel the frames are somebody else's.
func startBeat(t *testing.T, ns *lab.NS) *beat {
	t.Helper()
	b := &beat{flow: lab.Flow{
		Src: netip.MustParseAddrPort("198.18.0.1:40000"), Dst: netip.MustParseAddrPort("198.18.0.2:443"),
	}}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		if err := ns.Do(func() error { return b.send(stop) }); err != nil {
			t.Errorf("beat: %v", err)
		}
	})
	t.Cleanup(func() {
		close(stop)
		running.Wait()
	})
	return b
}

func (b *beat) send(stop <-chan struct{}) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	segment := packet.TCP{Src: b.flow.Src, Dst: b.flow.Dst, Flags: packet.ACK, Window: 1000, Payload: beatPayload}
	index := 0
	for tick := time.NewTicker(beatEvery); ; {
		select {
		case <-stop:
			tick.Stop()
			return nil
		case <-tick.C:
		}
		if b.paused.Load() {
			continue
		}
		if index == 0 {
			if i, err := net.InterfaceByName(lab.IfName); err == nil {
				index = i.Index
			} else {
				continue
			}
		}
		// What goes wrong is that the interface is down, or has gone; so is the segment.
		if unix.Sendto(fd, segment.Ethernet(), 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}) != nil {
			index = 0
		}
		segment.Seq += beatPayload
	}
}

// pause lets nothing be sent until resume.
func (b *beat) pause()  { b.paused.Store(true) }
func (b *beat) resume() { b.paused.Store(false) }
