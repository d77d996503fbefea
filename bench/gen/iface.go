package gen

import (
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// virtual are the drivers, as ETHTOOL_GDRVINFO names them, that lead to no cable.
var virtual = []string{"veth", "dummy", "ifb"}

// checkInterface finds the interface and refuses one that could reach other machines, one that is
// down, and one whose MTU is too small for mtu bytes of IP packet.
func checkInterface(name string, force bool, mtu int) (*net.Interface, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("gen: interface %q: %w (is it in another network namespace?)", name, err)
	}
	if ifi.Flags&net.FlagLoopback == 0 && !force {
		driver, err := driverOf(name)
		if err != nil {
			return nil, fmt.Errorf("gen: driver of %s: %w (-force sends without knowing it)", name, err)
		}
		if !slices.Contains(virtual, driver) {
			return nil, fmt.Errorf("gen: %s has the driver %q, which may lead to other machines: use a veth, dummy, ifb or lo interface, or -force", name, driver)
		}
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("gen: interface %s is down: ip link set %s up", name, name)
	}
	if mtu > ifi.MTU {
		return nil, fmt.Errorf("gen: a packet of %d bytes exceeds the MTU of %s, %d: take a smaller payload or ip link set %s mtu %d", mtu, name, ifi.MTU, name, mtu)
	}
	return ifi, nil
}

// driverOf asks the kernel for the name of an interface's driver.
func driverOf(name string) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("socket for ETHTOOL_GDRVINFO: %w", err)
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return "", fmt.Errorf("ETHTOOL_GDRVINFO: %w", err)
	}
	return unix.ByteSliceToString(info.Driver[:]), nil
}
