package expositiontest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
)

// GroupNames are the labels of the members that Groups uses, by group.Member.Name.
var GroupNames = []string{"other", "office", `q"uo\te` + "\nline", "größe", "servers"}

// Member returns the label of m: that of its name, or of its subnet.
func Member(m group.Member) string {
	if m.Bits != 0 {
		return fmt.Sprintf("%s/%d", m.Net.Netip(), m.Bits)
	}
	return GroupNames[m.Name]
}

// Groups returns a reading of n combinations with different labels and figures of all kinds.
func Groups(r *rand.Rand, n int) group.Reading {
	reading := group.Reading{Overflow: r.Uint64N(1000), Capacity: [2]int{128, 4096}, Used: [2]int{n, n / 2}}
	for i := range n {
		row := group.Row{Key: group.Key{
			Client:  group.Member{Name: uint32(i % len(GroupNames))},
			Server:  group.Member{Name: 1, Bits: 24, Net: parse.AddrFrom4(0x0a000000 + uint32(i/len(GroupNames))<<8)},
			Service: uint16(i % 3 * 443),
		}}
		fillTotals(r, &row.Totals)
		reading.Rows = append(reading.Rows, row)
	}
	return reading
}

func fillTotals(r *rand.Rand, t *group.Totals) {
	figure := func() uint64 { return r.Uint64N(1 << r.IntN(50)) }
	for i := range t.Data {
		t.Data[i] = group.Data{
			Packets: 1 + figure(), Bytes: figure(), Retransmits: figure(), RetransmittedBytes: figure(), HandshakeRetransmits: figure(),
			OutOfOrder: figure(), Gaps: figure(), DuplicateAcks: figure(), ZeroWindows: figure(), Resets: figure(),
		}
	}
	t.Opened, t.Established, t.HalfOpen, t.EstablishedNow, t.OneWay = figure(), figure(), figure(), figure(), figure()
	for i := range t.Closed {
		t.Closed[i] = figure()
	}
	for i := range t.Failed {
		t.Failed[i] = figure()
	}
	for i := range t.RTT {
		for range r.IntN(200) {
			t.RTT[i].Note(r.Int64N(1 << r.IntN(38)))
			t.Handshake[i].Note(int64(50e6 * (1 + r.ExpFloat64()/10)))
		}
	}
	for range r.IntN(50) {
		t.Duration.Note(r.Int64N(1 << r.IntN(48)))
		for i := range t.Size {
			t.Size[i].Note(r.Uint64N(1 << r.IntN(36)))
		}
	}
}

// ExpectedGroups returns the series of all families of groups for rows, by name and sorted labels as
// Exposition.Values has them. Rows with the same labels are added up. interfaceName may be nil if no row has an
// interface.
func ExpectedGroups(rows []group.Row, interfaceName func(uint32) string) map[string]float64 {
	want := map[string]float64{}
	for i := range rows {
		for series, x := range expectedRow(&rows[i], interfaceName) {
			want[series] += x
		}
	}
	return want
}

func expectedRow(row *group.Row, interfaceName func(uint32) string) map[string]float64 {
	want := map[string]float64{}
	service := "other"
	if row.Service != 0 {
		service = strconv.Itoa(int(row.Service))
	}
	labels := map[string]string{"client_group": Member(row.Client), "server_group": Member(row.Server), "service": service}
	if row.Interface != 0 {
		labels["interface"] = interfaceName(row.Interface)
	}
	add := func(name string, x float64, more ...string) {
		all := maps.Clone(labels)
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		var pairs []string
		for _, label := range []string{"client_group", "direction", "interface", "le", "leg", "reason", "server_group", "service", "state"} {
			if value, there := all[label]; there {
				pairs = append(pairs, fmt.Sprintf("%s=%q", label, value))
			}
		}
		want[name+"{"+strings.Join(pairs, ",")+"}"] = x
	}
	histogram := func(name string, bounds []float64, counts []uint64, count uint64, sum float64, more ...string) {
		for i, bound := range bounds {
			add(name+"_bucket", float64(counts[i]), append(more, "le", fmt.Sprint(bound))...)
		}
		add(name+"_bucket", float64(count), append(more, "le", "+Inf")...)
		add(name+"_count", float64(count), more...)
		add(name+"_sum", sum, more...)
	}
	t := &row.Totals
	for i, direction := range []string{"from_client", "from_server"} {
		d := &t.Data[i]
		for name, x := range map[string]uint64{
			"packets": d.Packets, "bytes": d.Bytes, "retransmitted_packets": d.Retransmits, "retransmitted_bytes": d.RetransmittedBytes,
			"handshake_retransmits": d.HandshakeRetransmits, "out_of_order_packets": d.OutOfOrder, "sequence_gaps": d.Gaps,
			"duplicate_acks": d.DuplicateAcks, "zero_windows": d.ZeroWindows, "resets": d.Resets,
		} {
			if name != "duplicate_acks" || t.BothWays() {
				add("tcp_group_"+name+"_total", float64(x), "direction", direction)
			}
		}
		sizes := t.Size[i].Classic()
		histogram("tcp_group_connection_bytes", group.SizeBounds[:], sizes[:], t.Size[i].Count(), float64(t.Size[i].Sum), "direction", direction)
	}
	add("tcp_group_connections", float64(t.HalfOpen), "state", "half_open")
	add("tcp_group_connections", float64(t.EstablishedNow), "state", "established")
	add("tcp_group_one_way_connections", float64(t.OneWay))
	add("tcp_group_connections_opened_total", float64(t.Opened))
	add("tcp_group_connections_established_total", float64(t.Established))
	for i, reason := range []string{"fin", "reset_by_client", "reset_by_server", "timeout", "recycled"} {
		add("tcp_group_connections_closed_total", float64(t.Closed[i]), "reason", reason)
	}
	for i, reason := range []string{"unanswered", "refused", "unfinished"} {
		add("tcp_group_connections_failed_total", float64(t.Failed[i]), "reason", reason)
	}
	for i, leg := range []string{"client", "server"} {
		for name, h := range map[string]*group.Histogram{"tcp_group_rtt_seconds": &t.RTT[i], "tcp_group_handshake_seconds": &t.Handshake[i]} {
			counts := h.Classic()
			histogram(name, group.ClassicBounds[:], counts[:], h.Count(), float64(h.Sum)/1e9, "leg", leg)
		}
	}
	durations := t.Duration.Classic()
	histogram("tcp_group_connection_duration_seconds", group.DurationBounds[:], durations[:], t.Duration.Count(), float64(t.Duration.Sum)/1e9)
	return want
}

// OffByDefault reports whether a series of ExpectedGroups is of a family that is exported only if asked for.
func OffByDefault(series string) bool {
	return strings.HasPrefix(series, "tcp_group_connection_duration_seconds") || strings.HasPrefix(series, "tcp_group_connection_bytes")
}
