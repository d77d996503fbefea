package pcapfilter

import "testing"

func TestFirstVLAN(t *testing.T) {
	for _, c := range []struct {
		filter string
		test   string // the part that is found, "" for none
		tag    int
	}{
		{"vlan", "vlan", anyTag},
		{"vlan and tcp", "vlan", anyTag},
		{"tcp and (vlan 7 or vlan 8)", "vlan 7", 7},
		{"not vlan\t4095", "vlan\t4095", 4095},
		{"vlan 0x0A and tcp", "vlan 0x0A", 10},
		{"(vlan(010))", "vlan(010)", 8},
		{"vlan ( ( 5 ) )or tcp", "vlan ( ( 5 ) )", 5},
		{"!vlan&&tcp", "vlan", anyTag},
		{"vlan-5", "", 0}, // one name to the scanner
		{"", "", 0},
		{"tcp", "", 0},
		{`host \vlan`, "", 0},
		{`ether proto \vlan or vlan 3`, "vlan 3", 3},
		{"host vlan-a.example or vlans or my.vlan", "", 0},
		{"geneve and vlan 5", "", 0},
		{"vxlan 7 and vlan", "", 0},
		// What libpcap does not compile.
		{"vlan (tcp)", "", 0},
		{"vlan (5", "", 0},
		{"vlan (5 or 6)", "", 0},
		{"vlan 4096", "", 0},
	} {
		v, found := firstVLAN(c.filter)
		if found != (c.test != "") || found && (c.filter[v.begin:v.end] != c.test || v.tag != c.tag) {
			t.Errorf("%q: found %v, %q with tag %d; want %q with %d", c.filter, found, c.filter[v.begin:max(v.begin, v.end)], v.tag, c.test, c.tag)
		}
	}
}
