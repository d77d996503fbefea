package check

import (
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
)

const interrupts = `           CPU0       CPU1
 24:          1          0  IO-APIC   5-edge      ACPI:Ged
 33:          0          0 PCI-MSIX-0000:00:05.0   0-edge      virtio4-config
 38:          0          9 PCI-MSIX-0000:00:05.0   1-edge      virtio4-input.0
 39:          7          0 PCI-MSIX-0000:00:05.0   2-edge      virtio4-output.0
 50:          1          0 PCI-MSIX-0000:00:06.0   0-edge      eth1-rx-10
 51:          1          0 PCI-MSIX-0000:00:06.0   1-edge      eth1-rx-2
 52:          1          0 PCI-MSIX-0000:00:06.0   2-edge      mlx5_async0
 53:          1          0 PCI-MSIX-0000:00:07.0   2-edge      eth11-rx-0
NMI:          0          0   Non-maskable interrupts
`

func TestDeviceFiles(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/interrupts":                         interrupts,
		"proc/irq/38/smp_affinity_list":           "0-1\n",
		"proc/irq/38/effective_affinity_list":     "1\n",
		"proc/irq/39/smp_affinity_list":           "0\n",
		"proc/irq/50/smp_affinity_list":           "3\n",
		"proc/irq/51/smp_affinity_list":           "2\n",
		"proc/irq/52/smp_affinity_list":           "5\n",
		"sys/class/net/eth0/ifindex":              "2\n",
		"sys/class/net/eth0/uevent":               "INTERFACE=eth0\nIFINDEX=2\n",
		"sys/class/net/eth0/device":               "-> sys/devices/pci/05/virtio4",
		"sys/devices/pci/05/virtio4/uevent":       "",
		"sys/devices/pci/05/msi_irqs/33":          "msix\n",
		"sys/devices/pci/05/msi_irqs/38":          "msix\n",
		"sys/devices/pci/05/msi_irqs/39":          "msix\n",
		"sys/class/net/eth0/queues/rx-0/rps_cpus": "00000000,00000000\n",
		"sys/class/net/eth0/queues/tx-0/xps_cpus": "3\n",
		"sys/class/net/eth1/ifindex":              "3\n",
		"sys/class/net/eth1/device":               "-> sys/devices/pci/06",
		"sys/devices/pci/06/msi_irqs/52":          "msix\n",
		"sys/class/net/eth1/queues/rx-0/rps_cpus": "0\n",
		"sys/class/net/eth1/queues/rx-1/rps_cpus": "00000000,00000010\n",
		"sys/class/net/eth0.5/ifindex":            "4\n",
		"sys/class/net/eth0.5/uevent":             "DEVTYPE=vlan\nINTERFACE=eth0.5\n",
		"sys/class/net/tun0/ifindex":              "5\n",
		"sys/class/net/tun0/tun_flags":            "0x1001\n",
	})
	read := func(i netif.Interface) device {
		d := device{Interface: i, link: parse.LinkFromARPHRD(i.Hatype)}
		d.readSys(r)
		return d
	}
	eth0 := read(netif.Interface{Index: 2, Name: "eth0", Hatype: 1, MTU: 1500, Up: true})
	if eth0.rx != 1 || eth0.tx != 1 || eth0.steered || !slices.Equal(eth0.irqCPUs(), []int{0, 1}) || len(eth0.irqs) != 2 {
		t.Errorf("eth0: %d and %d queues, RPS %v, interrupts %+v", eth0.rx, eth0.tx, eth0.steered, eth0.irqs)
	}
	text := reported(eth0.report)
	for _, want := range []string{"eth0, up, MTU 1500", "virtio4-input.0 (38) on CPU 1", "virtio4-output.0 (39) on CPU 0", "decoded as Ethernet", "hardware type 1 "} {
		if !strings.Contains(text, want) {
			t.Errorf("eth0: it does not say %q:\n%s", want, text)
		}
	}
	eth1 := read(netif.Interface{Index: 3, Name: "eth1", Hatype: 1})
	if names := []string{eth1.irqs[0].name, eth1.irqs[1].name, eth1.irqs[2].name}; !slices.Equal(names, []string{"mlx5_async0", "eth1-rx-2", "eth1-rx-10"}) {
		t.Errorf("eth1: interrupts %v: those of its device, and those with its name", names)
	}
	if !eth1.steered || eth1.rx != 2 || !strings.Contains(reported(eth1.report), "RPS spreads") {
		t.Errorf("eth1: RPS %v, %d queues", eth1.steered, eth1.rx)
	}
	if other := read(netif.Interface{Index: 99, Name: "eth0", Hatype: 1}); other.rx != 0 || len(other.irqs) != 0 || !strings.Contains(reported(other.report), "not known") {
		t.Errorf("an eth0 of another network namespace: %+v", other)
	}
	vlan := read(netif.Interface{Index: 4, Name: "eth0.5", Hatype: 1, Lower: 2})
	vlan.lower = "eth0"
	if got := vlan.whatItIs(); !strings.Contains(got, "VLAN") || !strings.Contains(got, "eth0 shows them") {
		t.Errorf("a VLAN: %q", got)
	}
	if tun := read(netif.Interface{Index: 5, Name: "tun0", Hatype: 65534}); !strings.Contains(tun.whatItIs(), "tun: packets without a link header") ||
		!strings.Contains(tun.linkText(), "IP packets") {
		t.Errorf("tun: %q, %q", tun.whatItIs(), tun.linkText())
	}
	if lo := (&device{Interface: netif.Interface{Loopback: true, Hatype: 772}}); !strings.Contains(lo.whatItIs(), "loopback") {
		t.Errorf("lo: %q", lo.whatItIs())
	}
	if odd := (&device{Interface: netif.Interface{Hatype: 280}}); !strings.Contains(odd.linkText(), "not decoded") {
		t.Errorf("CAN: %q", odd.linkText())
	}
}
