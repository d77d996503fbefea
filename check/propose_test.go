package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/worker"
)

// quiet is what a check finds on a line on which nothing speaks for another flag: the defaults, and 1,000 packets/s of
// TCP over IPv4.
func quiet() *facts {
	const bit = 1.0
	f := &facts{
		c: &Config{
			Interfaces: []netif.Interface{{Index: 2, Name: "eth0"}}, Ring: ring.Config{IfIndex: 2, BlockSize: 1 << 18, NumBlocks: 128}, Workers: 1,
			MaxConnections: 1 << 18, ConnectionBytes: 634, Direction: "both",
		},
		machine: machine{allowed: []int{0, 1, 2, 3}, available: 8 << 30, hasAvailable: true},
		irqCPUs: []int{0},
		speeds:  []speed{{fewConnections, 50}, {manyConnections, 200}},
		traffic: traffic{took: time.Second, lateFor: time.Second, passed: sample{kinds: newKinds(), weight: bit}, left: sample{kinds: newKinds(), weight: bit}},
	}
	f.traffic.stats.Packets, f.traffic.stats.Connections, f.traffic.late.Connections = 1000, 100, 100
	f.traffic.passed.tcp, f.traffic.passed.packets = 1000, 1000
	return f
}

// rate sets the packets per second.
func (f *facts) rate(n uint64) { f.traffic.stats.Packets = n }

func TestProposals(t *testing.T) {
	for _, c := range []struct {
		says string
		set  func(f *facts)
		want []string // flags with their values
		why  string   // a part of the first reason
	}{
		{"a quiet line", func(*facts) {}, nil, ""},
		{"silence", func(f *facts) { f.rate(0); f.traffic.passed.tcp = 0 }, nil, ""},

		{"IPv6", func(f *facts) { f.traffic.passed.tcp6 = 10 }, []string{"-ipv6"}, "1.0% of the TCP packets"},
		{"less IPv6 than is worth it", func(f *facts) { f.traffic.passed.tcp6 = 9 }, nil, ""},
		{"IPv6 that is tracked", func(f *facts) { f.traffic.passed.tcp6 = 500; f.c.IPv6 = true }, nil, ""},

		{"two VLANs", func(f *facts) {
			f.traffic.passed.vlans[parse.VLANs(0).Push(10)] = 3
			f.traffic.passed.vlans[parse.VLANs(0).Push(20)] = 3
		}, []string{"-vlan-identity"}, "2 VLANs"},
		{"one VLAN and none", func(f *facts) {
			f.traffic.passed.vlans[parse.VLANs(0).Push(10)] = 3
			f.traffic.passed.vlans[0] = 3
		}, nil, ""},

		{"tunnels", func(f *facts) { f.traffic.left.tunnels[0], f.traffic.left.tunnels[4] = 5, 7 }, []string{"-tunnels gre,geneve"}, "TCP in gre,geneve"},
		{"another tunnel than the one given", func(f *facts) { f.traffic.left.tunnels[1] = 5; f.c.Tunnels = parse.TunnelGRE }, []string{"-tunnels gre,ipip"}, "TCP in ipip"},
		{"a tunnel that is given", func(f *facts) { f.traffic.passed.tunnels[0] = 500; f.c.Tunnels = parse.TunnelGRE }, nil, ""},
		{"a tunnel that workers share", func(f *facts) { f.traffic.left.tunnels[3] = 5; f.c.Workers = 2; f.rate(200_000) },
			[]string{"-tunnels vxlan", "-cpus 2-3"}, "vxlan"},
		{"a tunnel that workers share, and load", func(f *facts) {
			f.traffic.left.tunnels[3] = 5
			f.rate(15_000_000)
			f.c.Ring.NumBlocks = 1 << 15
			f.c.Ring.BlockSize = 1 << 21
			f.machine.hasAvailable = false
		}, []string{"-tunnels vxlan", "-workers 2", "-cpus 2-3"}, "vxlan"},

		{"packets that pass twice", func(f *facts) {
			for n := range 10 {
				f.traffic.passed.flows[flow{srcPort: uint16(n)}] = seenArriving | seenLeaving
			}
		}, []string{"-direction in"}, "on the same interface"},
		{"the same on several interfaces", func(f *facts) {
			for n := range 10 {
				f.traffic.passed.flows[flow{srcPort: uint16(n)}] = seenArriving | seenLeaving
			}
			f.c.Ring.IfIndex = 0
		}, []string{"-direction in"}, "no NAT"},
		{"ordinary directions", func(f *facts) {
			for n := range 10 {
				f.traffic.passed.flows[flow{srcPort: uint16(n)}] = seenArriving
				f.traffic.passed.flows[flow{dstPort: uint16(n)}] = seenLeaving
			}
		}, nil, ""},

		{"more than a worker does, of few connections", func(f *facts) {
			f.rate(15_000_000)
			f.c.Ring.NumBlocks = 1 << 15
			f.c.Ring.BlockSize = 1 << 21
			f.machine.hasAvailable = false
		},
			[]string{"-workers 2", "-cpus 2-3"}, "75% of the time"},
		{"the same of many connections", func(f *facts) {
			f.rate(3_000_000)
			f.traffic.stats.Connections, f.traffic.late.Connections = 20_000, 20_000
			f.c.Ring.NumBlocks, f.machine.hasAvailable = 1<<13, false
		}, []string{"-workers 2", "-cpus 2-3"}, "60% of the time"},
		{"more workers than CPUs", func(f *facts) { f.c.Workers = 8 }, []string{"-workers 4"}, "no more CPUs"},
		{"workers on the CPU of the interrupts", func(f *facts) { f.c.CPUs = []int{0} }, []string{"-cpus 3"}, "on CPU 0"},
		{"workers on another CPU", func(f *facts) { f.rate(200_000); f.c.CPUs = []int{1} }, nil, ""},
		{"load without a CPU that has no interrupts", func(f *facts) { f.rate(200_000); f.irqCPUs = []int{0, 1, 2, 3} }, nil, ""},
		{"load without interrupts of its own", func(f *facts) { f.rate(200_000); f.irqCPUs = nil }, nil, ""},

		{"a ring that is short", func(f *facts) { f.irqCPUs = nil; f.rate(1_000_000) }, []string{"-numblocks 1024"}, "0.21 s"},
		{"a ring that is short, and little memory", func(f *facts) {
			f.irqCPUs = nil
			f.rate(1_000_000)
			f.machine.available = 1 << 30
			f.c.MaxConnections = 1000
		},
			[]string{"-numblocks 512"}, "0.21 s"},
		{"drops", func(f *facts) { f.traffic.stats.Dropped = 3 }, []string{"-numblocks 256"}, "3 packets found the ring full"},
		{"a ring that takes most of the memory", func(f *facts) { f.c.Ring.NumBlocks = 4096; f.machine.available = 1 << 30; f.c.MaxConnections = 1000 },
			[]string{"-numblocks 1024"}, "cannot be swapped"},

		{"more connections than there is room for", func(f *facts) { f.traffic.stats.Connections, f.traffic.late.Connections = 250_000, 250_000 },
			[]string{"-max-connections 524288"}, "up to 250,000"},
		{"connections that come fast", func(f *facts) { f.traffic.stats.Connections = 10_100 }, []string{"-max-connections 1048576"}, "up to 610,100"},
		{"a table that is full", func(f *facts) { f.traffic.stats.NoRoom = 1; f.c.MaxConnections = 100 }, []string{"-max-connections 128"}, ""},
		{"a table beyond the memory", func(f *facts) { f.c.MaxConnections = table.MaxConnections; f.machine.available = 1 << 30 },
			[]string{"-max-connections 1476606"}, "a full table takes"},
		{"a table beyond the memory cgroup", func(f *facts) { f.machine.group, f.machine.hasGroup = 100<<20, true }, []string{"-max-connections 148851"}, "100 MiB"},
	} {
		t.Run(c.says, func(t *testing.T) {
			f := quiet()
			c.set(f)
			var got []string
			all := propose(f)
			for _, p := range all {
				got = append(got, p.String())
				if strings.Contains(p.why, "%!") || p.why == "" {
					t.Errorf("%v: %q", p, p.why)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if len(all) > 0 && !strings.Contains(all[0].why, c.why) {
				t.Errorf("because %q, want it to say %q", all[0].why, c.why)
			}
		})
	}
}

// TestProposalsTwice: what follows from the proposal is nothing more.
func TestProposalsTwice(t *testing.T) {
	f := quiet()
	f.rate(1_000_000)
	f.irqCPUs = nil
	f.traffic.stats.Connections = 10_100
	f.c.Ring.NumBlocks, f.c.MaxConnections = 1024, 1<<20
	if again := propose(f); len(again) != 0 {
		t.Errorf("%v, want nothing", again)
	}
}

func TestNothingUp(t *testing.T) {
	up, down := netif.Interface{Name: "eth0", Hatype: 1, Up: true}, netif.Interface{Name: "eth1", Hatype: 1}
	for _, c := range []struct {
		all         []netif.Interface
		decoded, up int
		want        string
	}{
		{[]netif.Interface{up, down}, 2, 1, ""},
		{nil, 0, 0, "no interface matches"},
		{[]netif.Interface{down}, 1, 0, "ip link set dev eth1 up"},
		{[]netif.Interface{down, down}, 2, 0, "all interfaces are down"},
		{[]netif.Interface{{Hatype: 280, Up: true}}, 0, 0, "hardware type"},
	} {
		err := noneUp(&Config{Named: "-interface x", Interfaces: c.all}, c.decoded, c.up)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "-interface x: ") || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.all, err, c.want)
		}
	}
}

func TestTrafficRates(t *testing.T) {
	tr := &traffic{took: 2 * time.Second, lateFor: time.Second, passed: sample{kinds: newKinds(), weight: 10}, left: sample{kinds: newKinds(), weight: 100}}
	tr.stats = worker.Stats{Dropped: 100}
	tr.stats.Packets, tr.stats.Copies, tr.stats.Unselected, tr.stats.Connections, tr.late.Connections = 1000, 300, 200, 50, 20
	tr.passed.packets, tr.passed.bytes, tr.left.packets, tr.left.bytes, tr.left.vlan, tr.passed.tcp = 30, 3000, 7, 700, 7, 30
	if tr.rate() != 300 || tr.births() != 30 || tr.whole() != 1000 {
		t.Errorf("%v packets/s, %v connections/s, %v in all; want 300, 30, 1000", tr.rate(), tr.births(), tr.whole())
	}
	text := reported(func(p *page) { tr.report(p, &Config{Time: 3 * time.Second}) })
	for _, want := range []string{
		"1,000 packets/s, 800 kbit/s, 100 bytes on average", "30% of the packets pass the filter", "100 packets found the ring full",
		"VLAN tags        70% of the packets, and the filter passes none of them", "TCP              30% of the packets, and the filter passes them",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}
