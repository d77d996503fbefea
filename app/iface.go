package app

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/parse"
)

// anyInterface is the name that stands for all interfaces at once.
const anyInterface = "any"

// link is an interface as the capture needs it.
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
	if name == anyInterface {
		return link{name: name, up: true, kind: pcapfilter.EN10MB}, nil
	}
	i, err := net.InterfaceByName(name)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return link{}, fmt.Errorf("%s: look for it: %w%s", withValue("interface", name), err, netlinkRemedy(err))
	}
	if err != nil {
		return link{}, noInterface(name)
	}
	l := link{
		name: name, index: i.Index, kind: pcapfilter.EN10MB,
		loopback: i.Flags&net.FlagLoopback != 0, up: i.Flags&net.FlagUp != 0,
	}
	hatype, err := hardwareType(i.Index)
	if errors.Is(err, errNoIndex) { // deleted meanwhile
		return link{}, noInterface(name)
	}
	if err != nil {
		return link{}, fmt.Errorf("%s: read its hardware type: %w%s", withValue("interface", name), err, netlinkRemedy(err))
	}
	switch parse.LinkFromARPHRD(hatype) {
	case parse.LinkEthernet:
	case parse.LinkRaw:
		l.kind = pcapfilter.Raw
	default:
		return link{}, fmt.Errorf("%s: it has hardware type %d (ARPHRD_ in linux/if_arp.h), which is not decoded: use an Ethernet, loopback, tun, PPP or tunnel interface",
			withValue("interface", name), hatype)
	}
	return l, nil
}

// chooseInterface takes the interface of the default route where there is no eth0, and reports
// whether it did.
func (o *options) chooseInterface() bool {
	if _, err := net.InterfaceByName(o.iface); err == nil {
		return false
	}
	name := defaultRouteInterface()
	if name == "" {
		return false
	}
	o.iface = name
	return true
}

// hardwareType asks rtnetlink(7) for the ARPHRD type of an interface: struct ifinfomsg has it as
// 16 bits at offset 2 and the index at offset 4. sysfs would not do: in another network namespace
// it may still show the first one's interfaces.
func hardwareType(index int) (uint16, error) {
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return 0, fmt.Errorf("rtnetlink: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return 0, fmt.Errorf("rtnetlink: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type == syscall.RTM_NEWLINK && len(m.Data) >= syscall.SizeofIfInfomsg &&
			int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) == index {
			return binary.NativeEndian.Uint16(m.Data[2:]), nil
		}
	}
	return 0, errNoIndex
}

// netlinkRemedy says what helps where rtnetlink(7) may not be asked.
func netlinkRemedy(err error) string {
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPERM) {
		return ": allow AF_NETLINK (RestrictAddressFamilies= in a systemd unit)"
	}
	return ""
}

var errNoIndex = errors.New("rtnetlink: no interface with this index")

// interfaceList names the interfaces that exist, for messages.
func interfaceList() string {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		return "there are no interfaces here"
	}
	names := []string{anyInterface}
	for _, i := range all {
		names = append(names, i.Name)
	}
	return "use one of " + strings.Join(names, ", ")
}

// defaultRouteInterface is the interface of the IPv4 default route with the lowest metric, "" if
// there is none.
func defaultRouteInterface() string {
	f, err := os.Open("/proc/thread-self/net/route")
	if err != nil {
		return ""
	}
	defer f.Close()
	name, best := "", 0
	// Iface Destination Gateway Flags RefCnt Use Metric Mask …, numbers but the metric in hex.
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) < 8 || field[1] != "00000000" || field[7] != "00000000" {
			continue
		}
		metric, err := strconv.Atoi(field[6])
		if err != nil {
			continue
		}
		if name == "" || metric < best {
			name, best = field[0], metric
		}
	}
	return name
}
