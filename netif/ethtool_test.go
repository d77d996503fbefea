package netif

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// TestDeviceOfTheKernel holds driver and offloads of a veth against ethtool(8), switched on and off.
func TestDeviceOfTheKernel(t *testing.T) {
	l := lab.New(t)
	need.Tool(t, "ethtool")
	for _, on := range []bool{true, false} {
		l.Offloads(t, on)
		var d Device
		if err := l.A.Do(func() (err error) {
			d, err = AskDevice(lab.IfName)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if d.Driver != "veth" {
			t.Errorf("driver %q, want veth", d.Driver)
		}
		text := l.A.Run(t, "ethtool", "-k", lab.IfName)
		for _, c := range []struct{ kernel, ethtool string }{
			{"tx-generic-segmentation", "generic-segmentation-offload"}, {"rx-gro", "generic-receive-offload"}, {"rx-lro", "large-receive-offload"},
			{"rx-vlan-hw-parse", "rx-vlan-offload"}, {"tx-vlan-hw-insert", "tx-vlan-offload"},
		} {
			if want := strings.Contains(text, "\n"+c.ethtool+": on"); d.Features[c.kernel] != want {
				t.Errorf("offloads %v: %s is %v, ethtool says %v", on, c.kernel, d.Features[c.kernel], want)
			}
		}
		if d.Features["rx-gro"] != on {
			t.Errorf("rx-gro is %v, want %v", d.Features["rx-gro"], on)
		}
	}
	if _, err := AskDevice("no-such"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that does not exist: %v, want ENODEV", err)
	}
}

func TestActiveFeatures(t *testing.T) {
	bit := func(name string) []byte {
		return attribute(unix.ETHTOOL_A_BITSET_BITS_BIT|unix.NLA_F_NESTED, slices.Concat(
			attribute(unix.ETHTOOL_A_BITSET_BIT_INDEX, u32(5)), attribute(unix.ETHTOOL_A_BITSET_BIT_NAME, []byte(name+"\x00"))))
	}
	set := func(kind uint16, bits ...[]byte) []byte {
		return attribute(kind|unix.NLA_F_NESTED, slices.Concat(
			attribute(unix.ETHTOOL_A_BITSET_NOMASK, nil), attribute(unix.ETHTOOL_A_BITSET_SIZE, u32(60)),
			attribute(unix.ETHTOOL_A_BITSET_BITS|unix.NLA_F_NESTED, slices.Concat(bits...))))
	}
	whole := slices.Concat(set(unix.ETHTOOL_A_FEATURES_HW, bit("rx-lro")), set(unix.ETHTOOL_A_FEATURES_ACTIVE, bit("rx-gro"), bit("tx-checksum-ipv4")))
	got, err := activeFeatures(whole)
	if err != nil || len(got) != 2 || !got["rx-gro"] || !got["tx-checksum-ipv4"] {
		t.Errorf("%v, %v; want rx-gro and tx-checksum-ipv4: what the hardware could do is not what is on", got, err)
	}
	for n := range whole { // cut anywhere: an error or fewer, never a panic
		if cut, err := activeFeatures(whole[:n]); err == nil && len(cut) > 0 {
			t.Errorf("cut at %d: %v", n, cut)
		}
	}
	if _, err := genericAnswer(datagram(unix.NLMSG_ERROR, 0, 1, u32(^uint32(unix.ENODEV)+1))); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an error as the answer: %v, want ENODEV", err)
	}
}
