package api

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/parse"
)

const (
	defaultLimit = 20
	maxLimit     = 1000

	minWindow = time.Second
	maxWindow = 10 * time.Second
)

// query is what a request for streams asks for.
type query struct {
	filter
	sort   string // name of by
	by     exposition.Order
	limit  int
	window time.Duration // 0: over the streams' life
}

// parseQuery reads the query string of /api/v1/streams. The error is one line that names the parameter and the remedy.
func (o *Options) parseQuery(raw string) (query, error) {
	q := query{sort: "bytes", limit: defaultLimit}
	err := readAll(raw, []parameter{
		{"sort", func(value string) string {
			var known bool
			if q.by, known = exposition.OrderNamed(value); value == "bitrate" {
				q.by, known = exposition.ByBitrate, true
			}
			if q.sort = value; !known {
				return "want bytes, packets, retransmits, delay, health or bitrate"
			}
			return ""
		}},
		{"window", func(value string) string {
			d, err := time.ParseDuration(value)
			if err != nil || d < minWindow || d > maxWindow {
				return "want a duration of 1s to 10s"
			}
			q.window = d
			return ""
		}},
		{"limit", wholeNumber(&q.limit, 1, maxLimit)},
		{"addr", q.either.read},
		{"src", q.src.read},
		{"dst", q.dst.read},
		{"port", func(value string) string {
			q.byPort = true
			return wholeNumber(&q.port, 0, 65535)(value)
		}},
		{"group", func(value string) string {
			if o.Group == nil {
				return "no groups are configured: leave it out, or give the exporter -groups or -group"
			}
			return text(&q.group, "the name of a group")(value)
		}},
		{"service", func(value string) string {
			if o.Service == nil {
				return "no services are told apart: leave it out, or give port"
			}
			return text(&q.service, "the port of a service, or other")(value)
		}},
		{"interface", func(value string) string {
			if o.InterfaceName == nil {
				return "streams are not told apart by interface: leave it out, or give the exporter several interfaces"
			}
			return text(&q.iface, "the name of an interface")(value)
		}},
		{"vlan", func(value string) string {
			if !o.ByVLAN {
				return "streams are not told apart by VLAN: leave it out, or give the exporter -vlan-identity"
			}
			q.byVLAN = true
			return readVLAN(&q.vlan, value)
		}},
		{"state", func(value string) string {
			switch value {
			case "active":
				q.state = active
			case "finalized":
				q.state = finalized
			default:
				return "want active or finalized"
			}
			return ""
		}},
		{"min_bytes", wholeNumber(&q.minBytes, 0, 1<<64-1)},
	})
	if err == nil && q.window != 0 && !q.by.Counts() {
		err = errors.New(show("window", q.window.String()) + ": goes with sort=bytes, packets or retransmits, of which a difference says something: leave out one of the two")
	}
	q.byEnds = q.needsEnds()
	return q, err
}

// read takes an address or a prefix.
func (p *prefix) read(value string) string {
	const remedy = "want an address or a prefix, such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
	at, err := netip.ParsePrefix(value)
	if err != nil {
		a, err := netip.ParseAddr(value)
		if err != nil || a.Zone() != "" {
			return remedy
		}
		at = netip.PrefixFrom(a, a.BitLen())
	}
	*p = prefixOf(at)
	return ""
}

// readVLAN reads VLANs as they are shown: none, 10 or 10.20.
func readVLAN(v *parse.VLANs, value string) string {
	const remedy = "want none, a VLAN identifier of 1 to 4095, or an outer and an inner one such as 10.20"
	*v = 0
	if value == "none" {
		return ""
	}
	outer, inner, two := strings.Cut(value, ".")
	ids := []string{outer}
	if two {
		ids = append(ids, inner)
	}
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 12)
		if err != nil || n == 0 {
			return remedy
		}
		*v = v.Push(uint16(n))
	}
	return ""
}
