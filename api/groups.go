package api

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/stream"
)

// maxGroups bounds the rows of an answer, some 3 KB each.
const maxGroups = 1000

// other is the service of a port that is not listed.
const other = "other"

// groupQuery is what a request for groups asks for.
type groupQuery struct {
	client, server, either *string // names of groups; nil: any
	service, iface         *string
	limit                  int
}

func parseGroupQuery(raw string) (groupQuery, error) {
	q := groupQuery{limit: maxGroups}
	const name = "the name of a group"
	err := readAll(raw, []parameter{
		{"client_group", text(&q.client, name)},
		{"server_group", text(&q.server, name)},
		{"group", text(&q.either, name)},
		{"service", text(&q.service, "the port of a service, or other")},
		{"interface", text(&q.iface, "the name of an interface")},
		{"limit", wholeNumber(&q.limit, 1, maxGroups)},
	})
	return q, err
}

// groupRow is one combination in the answer. Fields have the names of the families, and below them the values of the label
// besides.
type groupRow struct {
	Client    string `json:"client_group"`
	Server    string `json:"server_group"`
	Service   string `json:"service"`
	Interface string `json:"interface,omitempty"`

	Packets              directions  `json:"tcp_group_packets_total"`
	Bytes                directions  `json:"tcp_group_bytes_total"`
	Retransmits          directions  `json:"tcp_group_retransmitted_packets_total"`
	RetransmittedBytes   directions  `json:"tcp_group_retransmitted_bytes_total"`
	HandshakeRetransmits directions  `json:"tcp_group_handshake_retransmits_total"`
	OutOfOrder           directions  `json:"tcp_group_out_of_order_packets_total"`
	Gaps                 directions  `json:"tcp_group_sequence_gaps_total"`
	DuplicateAcks        *directions `json:"tcp_group_duplicate_acks_total,omitempty"`
	ZeroWindows          directions  `json:"tcp_group_zero_windows_total"`
	Resets               directions  `json:"tcp_group_resets_total"`

	Connections connections `json:"tcp_group_connections"`
	Opened      uint64      `json:"tcp_group_connections_opened_total"`
	Established uint64      `json:"tcp_group_connections_established_total"`
	Closed      closed      `json:"tcp_group_connections_closed_total"`
	Failed      failed      `json:"tcp_group_connections_failed_total"`
	OneWay      uint64      `json:"tcp_group_one_way_connections"`

	RTT       *legs `json:"tcp_group_rtt_seconds,omitempty"`
	Handshake *legs `json:"tcp_group_handshake_seconds,omitempty"`
}

// directions holds a figure by who sent the packets; nil: not known.
type directions struct {
	FromClient *uint64 `json:"from_client,omitempty"`
	FromServer *uint64 `json:"from_server,omitempty"`
}

// connections holds how many there are now, by state.
type connections struct {
	HalfOpen    uint64 `json:"half_open"`
	Established uint64 `json:"established"`
}

// closed holds connections by the reason of group.Totals.Closed.
type closed struct {
	FIN      uint64 `json:"fin"`
	ByClient uint64 `json:"reset_by_client"`
	ByServer uint64 `json:"reset_by_server"`
	Timeout  uint64 `json:"timeout"`
	Recycled uint64 `json:"recycled"`
}

// failed holds connections by the reason of group.Totals.Failed.
type failed struct {
	Unanswered uint64 `json:"unanswered"`
	Refused    uint64 `json:"refused"`
	Unfinished uint64 `json:"unfinished"`
}

// legs holds times by the side of the capture on which they were spent; nil: none were seen.
type legs struct {
	Client *distribution `json:"client,omitempty"`
	Server *distribution `json:"server,omitempty"`
}

// named is a row of a reading with the names of its key.
type named struct {
	*group.Row
	client, server, service, iface string
}

// allGroups answers a request for groups.
func (h *Handler) allGroups(ctx context.Context, raw string) ([]byte, error) {
	if h.options.Groups == nil {
		return nil, errNoGroups
	}
	q, err := parseGroupQuery(raw)
	if err != nil {
		return nil, badRequest{err}
	}
	if err := h.admission.acquire(ctx); err != nil {
		return nil, err
	}
	defer h.admission.release()
	if err := h.options.Groups.Groups(ctx, &h.groups); err != nil {
		return nil, err
	}
	at := time.Now()
	var rows []named
	for i := range h.groups.Rows {
		if n := h.named(&h.groups.Rows[i]); q.matches(&n) {
			rows = append(rows, n)
		}
	}
	slices.SortFunc(rows, func(a, b named) int {
		return cmp.Or(cmp.Compare(b.bytes(), a.bytes()), cmp.Compare(a.client, b.client), cmp.Compare(a.server, b.server),
			cmp.Compare(a.service, b.service), cmp.Compare(a.iface, b.iface))
	})
	return h.appendGroups(nil, rows, q.limit, at)
}

// bytes returns the payload of both directions, by which rows are sorted.
func (n *named) bytes() uint64 {
	return n.Data[group.FromClient].Bytes + n.Data[group.FromServer].Bytes
}

// named returns r with its names.
func (h *Handler) named(r *group.Row) named {
	n := named{Row: r, client: h.options.Member(r.Client), server: h.options.Member(r.Server), service: other}
	if r.Service != 0 {
		n.service = strconv.Itoa(int(r.Service))
	}
	if r.Interface != 0 {
		s := exposition.Streams{InterfaceName: h.options.InterfaceName}
		n.iface = s.Interface(&stream.Origin{IfIndex: r.Interface})
	}
	return n
}

func (q *groupQuery) matches(n *named) bool {
	is := func(want *string, name string) bool { return want == nil || *want == name }
	return is(q.client, n.client) && is(q.server, n.server) && (is(q.either, n.client) || is(q.either, n.server)) &&
		is(q.service, n.service) && is(q.iface, n.iface)
}

// appendGroups appends the answer with the first rows.
func (h *Handler) appendGroups(b []byte, rows []named, limit int, at time.Time) ([]byte, error) {
	g, totals := &h.groups, h.options.Totals()
	b = h.appendHead(b, at)
	for _, f := range []struct {
		name string
		n    uint64
	}{
		{"groups_in_table", uint64(len(g.Rows))}, {"groups_matched", uint64(len(rows))},
		{"groups_used", uint64(g.Used[0])}, {"groups_capacity", uint64(g.Capacity[0])},
		{"subnets_used", uint64(g.Used[1])}, {"subnets_capacity", uint64(g.Capacity[1])},
		{"overflow_connections_total", g.Overflow},
	} {
		b = append(append(append(b, `,"`...), f.name...), `":`...)
		b = strconv.AppendUint(b, f.n, 10)
	}
	b = h.appendIPv6(b, &totals)
	b = append(b, `,"groups":[`...)
	for i := range rows[:min(limit, len(rows))] {
		text, err := json.Marshal(h.row(&rows[i]))
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, '\n'), text...)
	}
	return append(b, "\n]}\n"...), nil
}

// row returns a combination in the form of the answer.
func (h *Handler) row(n *named) *groupRow {
	t := &n.Totals
	both := func(figure func(d *group.Data) *uint64) directions {
		return directions{figure(&t.Data[group.FromClient]), figure(&t.Data[group.FromServer])}
	}
	r := &groupRow{
		Client: n.client, Server: n.server, Service: n.service, Interface: n.iface,
		Packets:              both(func(d *group.Data) *uint64 { return &d.Packets }),
		Bytes:                both(func(d *group.Data) *uint64 { return &d.Bytes }),
		Retransmits:          both(func(d *group.Data) *uint64 { return &d.Retransmits }),
		RetransmittedBytes:   both(func(d *group.Data) *uint64 { return &d.RetransmittedBytes }),
		HandshakeRetransmits: both(func(d *group.Data) *uint64 { return &d.HandshakeRetransmits }),
		OutOfOrder:           both(func(d *group.Data) *uint64 { return &d.OutOfOrder }),
		Gaps:                 both(func(d *group.Data) *uint64 { return &d.Gaps }),
		ZeroWindows:          both(func(d *group.Data) *uint64 { return &d.ZeroWindows }),
		Resets:               both(func(d *group.Data) *uint64 { return &d.Resets }),

		Connections: connections{t.HalfOpen, t.EstablishedNow},
		Opened:      t.Opened, Established: t.Established, OneWay: t.OneWay,
		Closed: closed{t.Closed[group.ClosedFIN], t.Closed[group.ClosedByClient], t.Closed[group.ClosedByServer],
			t.Closed[group.ClosedTimeout], t.Closed[group.ClosedRecycled]},
		Failed: failed{t.Failed[group.FailedUnanswered], t.Failed[group.FailedRefused], t.Failed[group.FailedUnfinished]},

		RTT: h.legs(&t.RTT), Handshake: h.legs(&t.Handshake),
	}
	if t.BothWays() {
		d := both(func(d *group.Data) *uint64 { return &d.DuplicateAcks })
		r.DuplicateAcks = &d
	}
	return r
}

// legs returns histograms in the form of the answer; nil if there are none.
func (h *Handler) legs(of *[group.Legs]group.Histogram) *legs {
	var l legs
	for i, to := range [group.Legs]**distribution{group.ClientLeg: &l.Client, group.ServerLeg: &l.Server} {
		shown := h.options.Histogram(&of[i])
		*to = shown.shown(of[i].Sum)
	}
	if l == (legs{}) {
		return nil
	}
	return &l
}
