package check

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

func TestShapes(t *testing.T) {
	v4 := packet.TCP{Src: client, Dst: server, Payload: 100}
	v6 := packet.TCP{Src: netip.MustParseAddrPort("[2001:db8::1]:4000"), Dst: netip.MustParseAddrPort("[2001:db8::2]:80")}
	pppoe := func(proto uint16, ip []byte) []byte {
		b := []byte{0x11, 0, 0, 1}
		b = binary.BigEndian.AppendUint16(b, uint16(2+len(ip)))
		return packet.InEthernet(0x8864, append(binary.BigEndian.AppendUint16(b, proto), ip...))
	}
	first, second := v4.Fragments(40)
	_, second6 := v6.Fragments(8)
	for _, c := range []struct {
		says   string
		link   parse.Link
		frame  []byte
		tagged bool
		want   shape
	}{
		{"TCP", parse.LinkEthernet, v4.Ethernet(), false, shape{}},
		{"one whose tag the kernel took", parse.LinkEthernet, v4.Ethernet(), true, shape{vlan: true}},
		{"a tag", parse.LinkEthernet, v4.Ethernet(0x8100_0005), false, shape{vlan: true}},
		{"two tags before IPv6", parse.LinkEthernet, v6.Ethernet(0x88a8_0005, 0x8100_0006), false, shape{vlan: true, ipv6: true}},
		{"PPPoE", parse.LinkEthernet, pppoe(0x0021, v4.IP()), false, shape{pppoe: true}},
		{"PPPoE with IPv6", parse.LinkEthernet, pppoe(0x0057, v6.IP()), false, shape{pppoe: true, ipv6: true}},
		{"PPPoE with LCP", parse.LinkEthernet, pppoe(0xc021, bytes.Repeat([]byte{0x65}, 60)), false, shape{pppoe: true}},
		{"MPLS of two labels", parse.LinkEthernet, packet.InEthernet(0x8847, append([]byte{0, 1, 0, 64, 0, 2, 1, 64}, v6.IP()...)), false, shape{mpls: true, ipv6: true}},
		{"a first fragment", parse.LinkEthernet, first, false, shape{fragment: true}},
		{"a later fragment", parse.LinkEthernet, second, false, shape{fragment: true}},
		{"a later fragment of IPv6", parse.LinkEthernet, second6, false, shape{fragment: true, ipv6: true}},
		{"raw IPv6", parse.LinkRaw, v6.IP(), false, shape{ipv6: true}},
		{"ARP", parse.LinkEthernet, packet.InEthernet(0x0806, make([]byte, 46)), false, shape{}},
	} {
		if got := shapeOf(c.link, c.frame, c.tagged); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.says, got, c.want)
		}
		for n := range c.frame { // cut anywhere: no panic, and nothing that is not there
			got := shapeOf(c.link, c.frame[:n:n], c.tagged)
			if got.pppoe && !c.want.pppoe || got.mpls && !c.want.mpls || got.ipv6 && !c.want.ipv6 || got.fragment && !c.want.fragment {
				t.Errorf("%s, cut at %d: %+v", c.says, n, got)
			}
		}
	}
}

func TestKinds(t *testing.T) {
	k := newKinds()
	note := func(b []byte, outer uint16, leaving bool) {
		k.noteBytes(parse.LinkEthernet, b, uint32(len(b)), outer != 0, parse.VLANs(0).Push(outer), leaving, 1460)
	}
	up := packet.TCP{Src: client, Dst: server, Seq: 1, Flags: packet.ACK, Payload: 1460}
	down := packet.TCP{Src: server, Dst: client, Seq: 1, Flags: packet.ACK, Payload: 1461}
	note(up.Ethernet(), 0, false)
	note(up.Ethernet(), 0, true) // the same direction arrives and leaves
	note(down.Ethernet(), 10, false)
	note(down.Ethernet(0x8100_0014), 10, false)
	note(udp(), 0, false)
	note(packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(4789, packet.InVXLAN(up.Ethernet())))), 0, false)
	note(packet.InEthernet(0x0800, packet.InIPv4(47, packet.InGRE(0, 0x0800, up.IP()))), 0, false)
	if k.packets != 7 || k.tcp != 4 || k.super != 2 || k.vlan != 2 {
		t.Errorf("%d packets, %d of TCP, %d super-packets, %d tagged; want 7, 4, 2, 2", k.packets, k.tcp, k.super, k.vlan)
	}
	if n := k.inVLANs(); n != 2 {
		t.Errorf("%d VLANs, want 10 and 10.20", n)
	}
	if both, all := k.twice(); both != 1 || all != 2 {
		t.Errorf("%d of %d flows both ways, want 1 of 2", both, all)
	}
	for bit, n := range k.tunnels {
		want := 0
		if one := parse.Tunnels(1 << bit); one == parse.TunnelVXLAN || one == parse.TunnelGRE {
			want = 1
		}
		if n != want {
			t.Errorf("%d in %v, want %d", n, parse.Tunnels(1<<bit), want)
		}
	}
}
