//go:build uml

package uml

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	connections = 2
	forth       = 200_000 // bytes of each connection to the server
	back        = 300_001 // and back

	lineDelay = 200 * time.Millisecond // 5 % of it are more than a busy machine adds
)

// kind is one kind of interface. Both ends of a lab get one, over the veth pair between them.
type kind struct {
	name string
	// commands make the interface, in a shell in each of the namespaces. $own and $peer are the addresses of the veth
	// pair, $n is 1 in A and 2 in B.
	commands string
	// connect makes an interface that takes both ends at once, with its addresses; may be nil.
	connect func(t *testing.T, l *lab.Lab, k *kind)
	device  string   // its name
	below   []string // interfaces below it that show the same connections
	carrier string   // interface where packets wait, for a delay; empty: the veth pair's end
	ipv6    bool     // the connections are of IPv6
}

var kinds = []kind{
	{name: "VLAN", device: "vlan10", below: []string{"veth0"},
		commands: "ip link add link veth0 name vlan10 type vlan id 10"},
	{name: "VLAN without offload", device: "vlan10", below: []string{"veth0"},
		commands: "ethtool -K veth0 txvlan off rxvlan off; ip link add link veth0 name vlan10 type vlan id 10"},
	{name: "QinQ", device: "cvlan", below: []string{"svlan", "veth0"},
		commands: "ip link add link veth0 name svlan type vlan proto 802.1ad id 200; ip link set svlan up; ip link add link svlan name cvlan type vlan id 100"},
	{name: "bond", device: "bond0", below: []string{"veth0"},
		commands: "ip link add bond0 type bond mode active-backup; ip link set veth0 down; ip link set veth0 master bond0"},
	{name: "macvlan", device: "mac0", below: []string{"veth0"},
		commands: "ip link add link veth0 name mac0 type macvlan mode bridge"},
	{name: "GRE", device: "gre1",
		commands: "ip link add gre1 type gre local $own remote $peer ttl 64"},
	{name: "GRE of Ethernet", device: "tap1",
		commands: "ip link add tap1 type gretap local $own remote $peer ttl 64"},
	{name: "IPIP", device: "ipip1",
		commands: "ip link add ipip1 type ipip local $own remote $peer ttl 64"},
	{name: "SIT", device: "sit1", ipv6: true,
		commands: "ip link add sit1 type sit local $own remote $peer ttl 64"},
	{name: "VXLAN", device: "vx0",
		commands: "ip link add vx0 type vxlan id 7 local $own remote $peer dstport 4789"},
	{name: "PPP", device: "ppp0", connect: connectPPP, carrier: "ppp0"},
	{name: "PPPoE", device: "ppp0", connect: connectPPPoE, below: []string{"veth0"}},
	{name: "IP VLAN", device: "ipv0", below: []string{"veth0"},
		commands: "ip link add link veth0 name ipv0 type ipvlan mode l2"},
	{name: "bridge", device: "br0", below: []string{"veth0"},
		commands: "ip link add br0 type bridge forward_delay 0; ip link set veth0 master br0"},
	{name: "IPv6 in IPv6", device: "six1", ipv6: true,
		commands: "ip link add six1 type ip6tnl local fd66::$n remote fd66::$((3-n)) mode any; echo 0 >/proc/sys/net/ipv6/conf/veth0/disable_ipv6; ip addr add fd66::$n/64 dev veth0 nodad"},
	{name: "GRE over IPv6", device: "gre6", ipv6: true,
		commands: "ip link add gre6 type ip6gre local fd66::$n remote fd66::$((3-n)); echo 0 >/proc/sys/net/ipv6/conf/veth0/disable_ipv6; ip addr add fd66::$n/64 dev veth0 nodad"},
}

// capture is one way to say what is captured.
type capture struct {
	name       string
	interfaces string
	offloads   bool
	delay      time.Duration // of packets to A
}

// What passes an interface of any kind is seen once on each interface that is captured, to the byte, with as many
// repeats as the kernel counts, whatever the interfaces are selected by. The delay is the one that the line has.
func TestKinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { k.test(t) })
	}
}

func (k kind) test(t *testing.T) {
	exporter := needKernel(t)
	l := lab.New(t)
	k.make(t, l)
	inner := func(n *lab.NS, number int) *lab.NS {
		return &lab.NS{Name: n.Name, Addr: netip.MustParseAddr(k.address(number))}
	}
	a, b := inner(l.A, 1), inner(l.B, 2)
	captures := []capture{
		{name: "device", interfaces: k.device, delay: lineDelay},
		{name: "any", interfaces: "any,!lo", offloads: true},
		{name: "pattern", interfaces: k.device[:2] + "*", offloads: true},
	}
	if n := len(k.below); n > 0 {
		captures = append(captures, capture{name: "below", interfaces: k.below[n-1], offloads: true})
	}
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []*lab.NS{l.A, l.B} {
				k.offloads(t, n, c.offloads)
			}
			k.delay(t, l.B, c.delay)
			// A small table and ring: every new page of memory is dear in this kernel.
			args := []string{"-interface", c.interfaces, "-max-connections", "1000", "-blocksize", "65536", "-numblocks", "16"}
			if k.ipv6 {
				args = append(args, "-ipv6")
			}
			e := l.A.StartExporter(t, exporter, args...)
			x := lab.Transfer{From: a, To: b, Connections: connections, Forth: forth, Back: back}.Run(t)
			k.check(t, c, x, e.Settle(t))
		})
	}
}

// check holds the figures against the transfer.
func (k kind) check(t *testing.T, c capture, x lab.Transferred, m lab.Metrics) {
	for _, name := range []string{"capture_dropped_packets_total", "tcp_stream_exporter_no_room_packets_total"} {
		if v, ok := m[name]; !ok || v != 0 {
			t.Errorf("%s is %v (there: %v), want 0", name, v, ok)
		}
	}
	var seen []string
	for _, name := range append([]string{k.device}, k.below...) {
		if ok, _ := path.Match(c.interfaces, name); ok || c.name == "any" {
			seen = append(seen, name)
		}
	}
	if want, got := 2*connections*len(seen), streams(m); got != want {
		t.Errorf("%v streams, want %v", got, want)
	}
	for _, name := range seen {
		on := m
		if c.name == "any" || c.name == "pattern" {
			on = m.On(name)
		}
		again := 0.0
		for _, client := range x.Clients {
			f := lab.Flow{Src: client, Dst: x.Server}
			for _, d := range []struct {
				lab.Flow
				bytes float64
			}{{f, forth}, {f.Reverse(), back}} {
				figures := on.Of(d.Flow, "finalized")
				repeats := figures["tcp_retransmits_total"] + figures["tcp_out_of_order_packets_total"]
				again += repeats
				if got, there := figures["tcp_bytes_transferred_total"]; !there || got < d.bytes || repeats == 0 && got != d.bytes {
					t.Errorf("%s: %v: %v bytes (there: %v), want %v", name, d.Flow, got, there, d.bytes)
				}
			}
			if c.delay > 0 {
				checkDelay(t, on.Of(f, "finalized"), c.delay)
			}
		}
		if again > float64(x.RetransSegs) {
			t.Errorf("%s: %v segments came again, %v were sent again", name, again, x.RetransSegs)
		}
	}
}

// checkDelay wants the line's delay as the smallest of a stream to its far end. The mean has the time in it that packets
// wait for a far end without a processor, which on a busy machine is longer than the line's.
func checkDelay(t *testing.T, figures map[string]float64, delay time.Duration) {
	t.Helper()
	const within, faster = 0.05, 0.01 // nothing is faster than the line, but clocks are read under difficulties here
	shortest, mean := figures["tcp_min_delay_seconds"], figures["tcp_avg_delay_seconds"]
	if ratio := shortest / delay.Seconds(); ratio < 1-faster || ratio > 1+within {
		t.Errorf("the smallest delay is %v s, want %v", shortest, delay)
	}
	if mean < (1-within)*delay.Seconds() {
		t.Errorf("the mean delay is %v s, want %v or more", mean, delay)
	}
	t.Logf("delay: smallest %.6f s, mean %.6f s", shortest, mean)
}

// streams is how many streams there are.
func streams(m lab.Metrics) (n int) {
	for key := range m {
		if strings.HasPrefix(key, "tcp_bytes_transferred_total{") {
			n++
		}
	}
	return n
}

// address returns the one of the interface in A (1) or B (2).
func (k kind) address(n int) string {
	if k.ipv6 {
		return fmt.Sprintf("fd77::%d", n)
	}
	return fmt.Sprintf("10.77.0.%d", n)
}

// make makes both interfaces, with their addresses.
func (k kind) make(t *testing.T, l *lab.Lab) {
	if k.connect != nil {
		k.connect(t, l, &k)
		return
	}
	addr := "ip addr add %[6]s/24 dev %[5]s"
	if k.ipv6 {
		addr = "echo 0 >/proc/sys/net/ipv6/conf/%[5]s/disable_ipv6; ip addr add %[6]s/64 dev %[5]s nodad"
	}
	for n, end := range []*lab.NS{l.A, l.B} {
		peer := []*lab.NS{l.B, l.A}[n]
		end.Run(t, "sh", "-euc", fmt.Sprintf("own=%s peer=%s n=%d; %s; ip link set %[5]s up; "+addr,
			end.Addr, peer.Addr, n+1, k.commands, k.device, k.address(n+1)))
	}
}

// offloads turns those on or off that the interface and the veth pair's end have.
func (k kind) offloads(t *testing.T, n *lab.NS, on bool) {
	word := map[bool]string{true: "on", false: "off"}[on]
	n.Run(t, "sh", "-c", fmt.Sprintf("for i in %[1]s veth0; do ethtool -K $i tx %[2]s sg %[2]s tso %[2]s gso %[2]s gro %[2]s; done >/dev/null 2>&1; true", k.device, word))
}

// delay has all packets to A wait for so long.
func (k kind) delay(t *testing.T, b *lab.NS, d time.Duration) {
	carrier := lab.IfName
	if k.carrier != "" {
		carrier = k.carrier
	}
	if d > 0 {
		b.Run(t, "tc", "qdisc", "replace", "dev", carrier, "root", "netem", "delay", d.String(), "limit", "10000")
	} else {
		b.Run(t, "sh", "-c", "tc qdisc del dev "+carrier+" root 2>/dev/null; true")
	}
}
