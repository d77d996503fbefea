package group

import "tcp-stream-exporter/parse"

// Member says which group an address belongs to. Comparable. The zero value is the group "other".
type Member struct {
	Name uint32     // number of the group's name, the same for as long as the program runs; 0: other
	Bits uint8      // length of the prefix in Net; 0: the group is not split into subnets
	Net  parse.Addr // if Bits is not 0, the subnet whose own group this is, its host bits 0
}

// Key names a combination, which has counters of its own. Comparable.
type Key struct {
	Client, Server Member
	Service        uint16 // the server's port if it is a listed one; 0: other
	Interface      uint32 // as stream.Origin.IfIndex; 0: does not count
}
