package parse

// Reason is why a frame gave no segment. The zero value is OK. It is a number, not an error, because the
// packet path counts reasons in an array.
type Reason uint8

const (
	OK              Reason = iota
	Truncated              // the captured bytes end before the TCP header does
	NotIP                  // neither IPv4 nor IPv6 behind the link layer (ARP, LLDP, …)
	NotTCP                 // an IP packet of a protocol that is none of these
	UDP                    // the other protocols that are common, by their IANA numbers
	ICMP                   // also ICMPv6
	GRE                    // RFC 2784
	IPIP                   // an IPv4 packet in another one, RFC 2003
	IPv6InIP               // an IPv6 packet in another one, or in IPv4 (6in4), RFC 4213
	ESP                    // RFC 4303
	IPv6                   // IPv6, while only IPv4 is asked for
	Fragment               // an IP fragment other than the first, without ports (RFC 791), or of no known connection
	BadIPHeader            // version, header length or total length contradict each other
	BadLinkHeader          // a VLAN stack that does not end
	UnknownLink            // a link type that is not decoded
	BadTunnelHeader        // an encapsulation whose lengths contradict each other, or too many within one another
	NumReasons      = iota // the number of reasons, OK included
)

var reasonNames = [NumReasons]string{
	"ok", "truncated", "not_ip", "not_tcp", "udp", "icmp", "gre", "ipip", "ipv6_in_ip", "esp", "ipv6", "fragment",
	"bad_ip_header", "bad_link_header", "unknown_link", "bad_tunnel_header",
}

// String returns the reason as a label value: lower case, words joined by underscores.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "invalid"
}

// notTCP returns the reason for a packet whose payload is of another protocol (IANA's protocol numbers).
func notTCP(protocol byte) Reason {
	switch protocol {
	case 1, 58:
		return ICMP
	case protoIPv4:
		return IPIP
	case protoUDP:
		return UDP
	case protoIPv6:
		return IPv6InIP
	case protoGRE:
		return GRE
	case 50:
		return ESP
	}
	return NotTCP
}
