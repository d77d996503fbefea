package e2e

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// delivered counts the IPv4 packets that come in through the interface called lab.IfName as the
// kernel hands them to packet sockets. The interface's own counter has more: what comes between its
// going up and the sockets' event of it (NETDEV_UP in packet_notifier, net/packet/af_packet.c)
// is handed to none of them.
type delivered struct {
	fd    int
	total float64
}

// countDelivered counts from now on, for as long as the interface exists.
func countDelivered(t *testing.T, ns *lab.NS) *delivered {
	t.Helper()
	d := &delivered{fd: -1}
	err := ns.Do(func() error {
		i, err := net.InterfaceByName(lab.IfName)
		if err != nil {
			return err
		}
		if d.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		const networkOrder = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8
		return unix.Bind(d.fd, &unix.SockaddrLinklayer{Protocol: networkOrder, Ifindex: i.Index})
	})
	if err != nil {
		t.Fatalf("count what packet sockets get: %v", err)
	}
	t.Cleanup(func() { unix.Close(d.fd) })
	return d
}

// packets returns all until now. Nobody reads the socket: those it has no room for are in the figure
// too (packet_getsockopt), which every reading sets to 0.
func (d *delivered) packets(t *testing.T) float64 {
	t.Helper()
	st, err := unix.GetsockoptTpacketStats(d.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatalf("PACKET_STATISTICS: %v", err)
	}
	d.total += float64(st.Packets)
	return d.total
}
