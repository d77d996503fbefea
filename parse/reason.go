package parse

// Reason is why a frame gave no segment. The zero value is OK. It is a number, not an error, because the
// packet path counts reasons in an array.
type Reason uint8

const (
	OK            Reason = iota
	Truncated            // the captured bytes end before the TCP header does
	NotIP                // neither IPv4 nor IPv6 behind the link layer (ARP, LLDP, …)
	NotTCP               // an IP packet of another protocol
	IPv6                 // IPv6, while only IPv4 is asked for
	Fragment             // an IP fragment other than the first, without ports (RFC 791), or of no known connection
	BadIPHeader          // version, header length or total length contradict each other
	BadLinkHeader        // a VLAN stack that does not end
	UnknownLink          // a link type that is not decoded
	NumReasons    = iota // the number of reasons, OK included
)

var reasonNames = [NumReasons]string{
	"ok", "truncated", "not_ip", "not_tcp", "ipv6", "fragment",
	"bad_ip_header", "bad_link_header", "unknown_link",
}

// String returns the reason as a label value: lower case, words joined by underscores.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "invalid"
}
