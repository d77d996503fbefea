package netif

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tries is the most requests for the list of interfaces, made again when it may have gaps or was longer than
// the buffer.
const tries = 3

// Find returns the interface that bears the name. The error is ErrNotExist if none does. Other names
// that an interface goes by (ip link property add altname) do not count.
func Find(name string) (Interface, error) {
	all, err := List()
	if err != nil {
		return Interface{}, err
	}
	for _, i := range all {
		if i.Name == name {
			return i, nil
		}
	}
	return Interface{}, ErrNotExist
}

// List returns all interfaces. While others come and go all the time, an interface may be missing or
// listed twice.
func List() (all []Interface, err error) {
	var c Conn
	defer c.Close()
	for range tries {
		all = all[:0]
		var whole bool
		whole, err = c.All(func(i *Interface) { all = append(all, *i) })
		if errno := unix.Errno(0); whole || errors.As(err, &errno) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// DefaultRoute returns the name of the interface that the IPv4 default route with the lowest metric
// leaves by, or "" if there is none. /proc has it, so that it needs no AF_NETLINK.
func DefaultRoute() string {
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
