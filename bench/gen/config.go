package gen

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Order is the order in which connections send.
type Order uint8

const (
	OrderRoundRobin Order = iota // one after the other
	OrderUniform                 // any of them, at random
	OrderElephants               // a share of the packets on a few of them, the rest spread at random
)

var orders = [...]string{OrderRoundRobin: "roundrobin", OrderUniform: "uniform", OrderElephants: "elephants"}

func (o Order) String() string { return orders[o] }

// Set makes Order a flag.Value.
func (o *Order) Set(s string) error {
	for i, name := range orders {
		if s == name {
			*o = Order(i)
			return nil
		}
	}
	return fmt.Errorf("order %q is unknown: take one of %s", s, strings.Join(orders[:], ", "))
}

// Method is the way that frames take to the kernel.
type Method uint8

const (
	MethodSendmmsg Method = iota // sendmmsg(2): the kernel copies each frame
	MethodTXRing                 // PACKET_TX_RING: the kernel sends the pages of a mapping
)

var methods = [...]string{MethodSendmmsg: "sendmmsg", MethodTXRing: "txring"}

func (m Method) String() string { return methods[m] }

// Set makes Method a flag.Value.
func (m *Method) Set(s string) error {
	for i, name := range methods {
		if s == name {
			*m = Method(i)
			return nil
		}
	}
	return fmt.Errorf("method %q is unknown: take one of %s", s, strings.Join(methods[:], ", "))
}

// Config holds what to send. Shares are between 0 and 1; rates are per second.
type Config struct {
	Interface string // its name in the caller's network namespace
	Force     bool   // allow an interface that is not a known virtual one

	Connections int     // how many are open at once; each is two streams
	Payload     int     // bytes of TCP payload in a data packet; 0, with MidStream and OneWay: pure ACKs of what never passes here
	Burst       int     // data packets of one connection in a row, cut from one by the kernel; 0 or 1: single ones
	MidStream   bool    // no handshakes: connections begin with data, as a capture sees them that starts late
	OneWay      bool    // only the client's packets, as seen on a line with asymmetric routing
	OpenRate    float64 // connections opened per second until all are; 0: as fast as it goes
	Churn       float64 // connections closed, each replaced by a new one, per second
	ResetShare  float64 // of the closed connections: by RST instead of FIN
	CloseAtEnd  bool    // close all connections at the end; comes on top of Packets and Duration

	Order         Order
	Elephants     int     // OrderElephants: how many connections are heavy
	ElephantShare float64 // OrderElephants: share of the packets that the heavy ones get
	ReverseShare  float64 // ACK packets of the server as a share of established traffic, at most 0.5

	FloodShare float64 // share of all packets that are SYNs from random sources; 1: nothing else
	ForgeShare float64 // share of established traffic that is forged in a client's name

	Rate     float64       // packets per second; 0: as fast as it goes
	Packets  uint64        // stop after so many; 0: no limit
	Duration time.Duration // stop after so long; 0: no limit
	Seed     uint64        // addresses, ports, sequence numbers and random choices follow from it

	Truncate      bool             // end data frames behind the TCP header while the IPv4 total length still claims the payload
	NoTCPChecksum bool             // leave the TCP checksum 0
	DestMAC       net.HardwareAddr // nil: an address that no interface of a lab has (see README.md)
	Method        Method
	Qdisc         bool // send through the qdisc layer instead of around it (PACKET_QDISC_BYPASS); bursts always do
	CPU           int  // pin the sending thread to this CPU; -1: not
	KeepStreams   bool // remember ended connections for WriteStreams: 64 bytes each
}

// Validate checks every value; an error names the value and the range.
func (c *Config) Validate() error {
	for _, check := range []struct {
		bad  bool
		what string
		v    any
		ok   string
	}{
		{c.Connections < 1 || c.Connections > 1<<30, "connections", c.Connections, "1 to 2^30"},
		{c.Payload < 1 && !c.pureACKs() || c.Payload > maxPayload, "payload", c.Payload,
			fmt.Sprintf("1 to %d bytes, or 0 in mid-stream, one way and without bursts", maxPayload)},
		{c.Burst < 0 || c.Burst > maxBurst || c.Burst > 1 && c.Burst*c.Payload > maxPayload, "burst", c.Burst,
			fmt.Sprintf("0 to %d segments, %d bytes of payload together", maxBurst, maxPayload)},
		{c.Burst > 1 && c.Method != MethodSendmmsg, "burst", c.Burst, "method sendmmsg with it"},
		{c.Burst > 1 && c.Truncate, "burst", c.Burst, "no truncated frames with it"},
		{c.Burst > 1 && c.NoTCPChecksum, "burst", c.Burst, "TCP checksums with it, which the kernel fills in"},
		{!share(c.ResetShare), "reset share", c.ResetShare, "0 to 1"},
		{!share(c.FloodShare), "flood share", c.FloodShare, "0 to 1"},
		{!share(c.ForgeShare), "forge share", c.ForgeShare, "0 to 1"},
		{!share(c.ElephantShare), "elephant share", c.ElephantShare, "0 to 1"},
		{!(c.ReverseShare >= 0 && c.ReverseShare <= 0.5), "reverse share", c.ReverseShare, "0 to 0.5: more ACKs than data would be duplicates"},
		{!(c.OpenRate >= 0), "rate of new connections", c.OpenRate, "0 or more per second"},
		{!(c.Churn >= 0), "churn", c.Churn, "0 or more per second"},
		{!(c.Rate >= 0), "rate", c.Rate, "0 or more packets per second"},
		{c.Duration < 0, "duration", c.Duration, "0 or more"},
		{c.Order == OrderElephants && (c.Elephants < 1 || c.Elephants > c.Connections), "elephants", c.Elephants, "1 to the number of connections"},
		{c.DestMAC != nil && len(c.DestMAC) != 6, "destination MAC", c.DestMAC, "six bytes"},
	} {
		if check.bad {
			return fmt.Errorf("gen: %s %v is refused: take %s", check.what, check.v, check.ok)
		}
	}
	return nil
}

// pureACKs reports whether the packets are the ACKs of a receiver whose data comes another way.
func (c *Config) pureACKs() bool { return c.Payload == 0 && c.MidStream && c.OneWay && c.Burst <= 1 }

// maxPayload is the most that fits behind two headers in the 16-bit total length of IPv4.
const maxPayload = maxTotalLen - ipv4Len - tcpLen

// maxBurst keeps a burst well inside of the backlog that a veth pair hands it over in (sysctl
// net.core.netdev_max_backlog, 1000 packets), where one too many would be lost without an error.
const maxBurst = 512

// share reports whether v is a share. NaN is none.
func share(v float64) bool { return v >= 0 && v <= 1 }
