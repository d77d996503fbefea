package status

import (
	"encoding/json"
	"time"

	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/parse"
)

// schema is the version of the answer's fields, that of the paths beside it.
const schema = 1

// answer is what /api/v1/status answers; docs/api.md explains the fields.
type answer struct {
	Schema    int     `json:"schema"`
	Timestamp number  `json:"timestamp_seconds"`
	Version   string  `json:"version"`
	Uptime    number  `json:"uptime_seconds"`
	Interface string  `json:"interface"`
	Filter    string  `json:"filter"`
	Sample    number  `json:"sample_ratio"`
	Capture   capture `json:"capture"`

	IPv6        bool   `json:"ipv6_accounted"`
	IPv6Skipped uint64 `json:"ipv6_skipped_packets"`

	Totals  totals    `json:"totals"`
	Skipped []skipped `json:"skipped"`
	Workers []oneOf   `json:"workers"`

	StreamFilters []string `json:"stream_filters"`
	Groups        bool     `json:"groups_counted"`

	InterfacesCaptured int     `json:"interfaces_captured"`
	Interfaces         []iface `json:"interfaces"`

	History *history `json:"history,omitempty"`
}

// capture says whether the figures can be trusted.
type capture struct {
	State      string       `json:"state"` // complete, incomplete, stuck
	Complete   bool         `json:"complete"`
	Healthy    bool         `json:"healthy"`
	Ready      bool         `json:"ready"`
	Summary    string       `json:"summary"`
	LostWithin number       `json:"lost_within_seconds"`
	Reasons    []lossReason `json:"reasons"`
}

// totals holds the figures of the whole capture.
type totals struct {
	Streams     int64  `json:"streams"`
	Active      int64  `json:"active_streams"`
	Connections int    `json:"connections"`
	Capacity    int    `json:"connections_capacity"`
	Packets     uint64 `json:"packets_total"`
	Dropped     uint64 `json:"dropped_packets_total"`
	Freezes     uint64 `json:"queue_freezes_total"`
	NoRoom      uint64 `json:"no_room_packets_total"`
	RingBlocks  int    `json:"ring_blocks"`
	RingWaiting int    `json:"ring_blocks_waiting"`

	MaxFrameAge number `json:"max_frame_age_seconds"`
	MaxTurn     number `json:"max_turn_seconds"`

	PacketRate number `json:"packets_per_second"`
	DropRate   number `json:"dropped_packets_per_second"`
	BitRate    number `json:"bits_per_second"`
}

// skipped is a reason for which captured packets are not accounted.
type skipped struct {
	Reason  string `json:"reason"`
	Packets uint64 `json:"packets_total"`
	Text    string `json:"text"`
}

// oneOf holds the figures of one worker.
type oneOf struct {
	Worker      int    `json:"worker"`
	Packets     uint64 `json:"packets_total"`
	Dropped     uint64 `json:"dropped_packets_total"`
	Connections int    `json:"connections"`
	Capacity    int    `json:"connections_capacity"`
	RingBlocks  int    `json:"ring_blocks"`
	RingWaiting int    `json:"ring_blocks_waiting"`
	SinceTurn   number `json:"since_turn_seconds"`
	PacketRate  number `json:"packets_per_second"`
	DropRate    number `json:"dropped_packets_per_second"`

	History *workerHistory `json:"history,omitempty"`
}

// iface holds what is known of one interface.
type iface struct {
	Name     string   `json:"interface"`
	State    string   `json:"state"`
	Captured bool     `json:"captured"` // else it is below one that is
	Named    bool     `json:"named"`
	Kind     string   `json:"kind,omitempty"`
	MTU      uint32   `json:"mtu_bytes,omitempty"`
	Driver   string   `json:"driver,omitempty"`
	Offloads []string `json:"offloads"`

	Lost       map[string]uint64 `json:"lost_packets_total"`
	PacketRate number            `json:"packets_per_second"`
	BitRate    number            `json:"bits_per_second"`
	LossRate   number            `json:"lost_packets_per_second"`

	History *linkHistory `json:"history,omitempty"`
}

// history holds what the charts of the whole capture show.
type history struct {
	Interval number `json:"interval_seconds"`
	End      number `json:"end_timestamp_seconds"` // of the last rate
	Packets  series `json:"packets_per_second"`
	Drops    series `json:"dropped_packets_per_second"`
	Bits     series `json:"bits_per_second"`
	Table    series `json:"table_fill_ratio"`
	Ring     series `json:"ring_fill_ratio"`
}

// workerHistory holds what the charts of a worker show.
type workerHistory struct {
	Packets series `json:"packets_per_second"`
	Drops   series `json:"dropped_packets_per_second"`
	Table   series `json:"table_fill_ratio"`
	Ring    series `json:"ring_fill_ratio"`
}

// linkHistory holds what the charts of an interface show.
type linkHistory struct {
	Packets series `json:"packets_per_second"`
	Bits    series `json:"bits_per_second"`
	Lost    series `json:"lost_packets_per_second"`
}

// why has words for the reasons for which packets are skipped, where there is something to be done about them.
var why = [parse.NumReasons]string{
	parse.Truncated:       "the captured bytes end before the TCP header does: raise -snaplen",
	parse.NotIP:           "neither IPv4 nor IPv6",
	parse.IPv6:            "IPv6 is not in the metrics by stream: -ipv6 has it there",
	parse.Fragment:        "an IP fragment without ports of a connection that is not known",
	parse.BadIPHeader:     "lengths in the IP header contradict each other",
	parse.BadLinkHeader:   "VLAN tags that do not end",
	parse.UnknownLink:     "a link type that is not decoded",
	parse.BadTunnelHeader: "lengths in an encapsulation contradict each other",
}

// whyOf returns the words for a reason.
func (h *History) whyOf(reason parse.Reason) string {
	switch reason {
	case parse.GRE, parse.IPIP, parse.IPv6InIP, parse.UDP:
		if !h.cfg.Tunnels {
			return "not TCP; what is in a tunnel is accounted with -tunnels"
		}
	}
	if text := why[reason]; text != "" {
		return text
	}
	return "not TCP"
}

// Answer returns the status as JSON, with so many of the latest points of each chart, 0 to Points.
func (h *History) Answer(points int) []byte { return h.answer(h.read(time.Now()), points) }

func (h *History) answer(r reading, points int) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &r.total
	a := answer{
		Schema: schema, Timestamp: seconds(r.now), Version: h.cfg.Version, Uptime: number(r.now.Sub(h.start).Seconds()),
		Interface: h.cfg.Interface, Filter: h.cfg.Filter, Sample: 1 / number(max(h.cfg.Sample, 1)),
		StreamFilters: h.cfg.StreamFilters, Groups: h.cfg.Groups,
		Capture: h.captureOf(&r), IPv6: h.cfg.IPv6, IPv6Skipped: s.Skipped[parse.IPv6] - s.Hidden, Skipped: []skipped{},
		Totals: totals{
			Streams: s.Streams + s.HiddenTally.Streams, Active: s.Active + s.HiddenTally.Active, Connections: s.Connections, Capacity: s.Capacity, Packets: s.Packets, Dropped: s.Dropped,
			Freezes: s.Freezes, NoRoom: s.NoRoom, RingBlocks: s.RingBlocks, RingWaiting: s.RingWaiting,
			MaxFrameAge: number(s.MaxFrameAge.Seconds()), MaxTurn: number(s.MaxTurn.Seconds()),
		},
	}
	for reason := parse.OK + 1; int(reason) < parse.NumReasons; reason++ {
		if n := s.Skipped[reason]; n > 0 {
			a.Skipped = append(a.Skipped, skipped{reason.String(), n, h.whyOf(reason)})
		}
	}
	first := max(h.taken-1-min(points, Points), h.taken-marks, 0)
	a.Workers = h.workersOf(&r, first, points > 0)
	for i := range a.Workers {
		a.Totals.PacketRate += a.Workers[i].PacketRate
		a.Totals.DropRate += a.Workers[i].DropRate
	}
	a.Interfaces, a.InterfacesCaptured = h.interfacesOf(&r, first, points > 0)
	a.Totals.BitRate = unknown
	for i := range a.Interfaces {
		if k := &a.Interfaces[i]; k.Captured {
			a.Totals.BitRate = a.Totals.BitRate.plus(k.BitRate)
		}
	}
	if points > 0 {
		a.History = h.historyOf(first, &a)
	}
	body, _ := json.Marshal(&a) // numbers and strings can always be written
	return append(body, '\n')
}

// seconds returns a time since the epoch, to the millisecond.
func seconds(t time.Time) number { return number(float64(t.UnixMilli()) / 1e3) }

// captureOf says whether the figures can be trusted.
func (h *History) captureOf(r *reading) capture {
	c := capture{State: "complete", Complete: r.losses.Complete, LostWithin: number(loss.DoubtTime.Seconds()), Reasons: []lossReason{}}
	healthy, ready := h.cfg.Healthy(), h.cfg.Ready()
	c.Healthy, c.Ready = healthy == nil, ready == nil
	c.Summary = "nothing was lost in the last minute"
	if !c.Complete {
		c.State = "incomplete"
		c.Reasons = h.lossesSince(h.before(r.capture.at, loss.DoubtTime), r)
		if len(c.Reasons) == 0 {
			c.Reasons = append(c.Reasons, lossReason{Cause: "brief", Place: "interface", Text: "an interface was away for less than five seconds, or the exporter has just begun: the log may say more"})
		}
		c.Summary = c.Reasons[0].Text
	}
	if healthy != nil {
		c.State, c.Summary = "stuck", healthy.Error()
	}
	return c
}

// workersOf returns the figures of each worker, with the history from mark first on. The caller holds mu.
func (h *History) workersOf(r *reading, first int, charts bool) []oneOf {
	all := make([]oneOf, len(r.workers))
	for i := range r.workers {
		s := &r.workers[i]
		w := oneOf{
			Worker: i, Packets: s.Packets, Dropped: s.Dropped, Connections: s.Connections, Capacity: s.Capacity,
			RingBlocks: s.RingBlocks, RingWaiting: s.RingWaiting, PacketRate: unknown, DropRate: unknown, SinceTurn: unknown,
		}
		if i < len(r.since) {
			w.SinceTurn = number(r.since[i].Seconds())
		}
		if i < len(h.workers) {
			now := h.workerMark(r, i)
			if then := h.workers[i][h.recent(r)%marks]; now.at > then.at {
				w.PacketRate, w.DropRate = rate(then.packets, now.packets, then.at, now.at).whole(), rate(then.dropped, now.dropped, then.at, now.at)
			}
			if charts {
				w.History = h.workerHistory(&h.workers[i], first)
			}
		}
		all[i] = w
	}
	return all
}

// recent returns the number of the mark that rates of the moment are counted from: one that is old enough for figures
// that are read every two seconds. The caller holds mu.
func (h *History) recent(r *reading) int { return h.before(r.capture.at, Interval*4/5) }

// workerHistory returns the charts of a worker. The caller holds mu.
func (h *History) workerHistory(of *[marks]workerMark, first int) *workerHistory {
	c := &workerHistory{}
	for i := first + 1; i < h.taken; i++ {
		then, now := &of[(i-1)%marks], &of[i%marks]
		c.Packets = append(c.Packets, rate(then.packets, now.packets, then.at, now.at).whole())
		c.Drops = append(c.Drops, rate(then.dropped, now.dropped, then.at, now.at))
		c.Table = append(c.Table, share(now.connections, now.capacity))
		c.Ring = append(c.Ring, share(now.ringWaiting, now.ringAll))
	}
	return c
}

// interfacesOf returns what is captured or is to be, and what is below that, and how much of it is captured. The caller
// holds mu.
func (h *History) interfacesOf(r *reading, first int, charts bool) (all []iface, captured int) {
	all = []iface{}
	asked := map[string]bool{}
	for i := range r.interfaces {
		at := &r.interfaces[i]
		asked[at.Name] = true
		if at.Up {
			captured++
		}
		if len(all) < maxInterfaces {
			k := h.interfaceOf(r, at.Name, first, charts)
			k.State, k.Captured, k.Named = stateOf(at, named(r.losses.Interfaces, at.Name)), true, at.Named
			all = append(all, k)
		}
	}
	for i := range r.losses.Interfaces {
		below := &r.losses.Interfaces[i]
		if !asked[below.Name] && len(all) < maxInterfaces {
			k := h.interfaceOf(r, below.Name, first, charts)
			k.State = "below"
			all = append(all, k)
		}
	}
	return all, captured
}

// interfaceOf returns what is known of the interface of a name. The caller holds mu.
func (h *History) interfaceOf(r *reading, name string, first int, charts bool) iface {
	a := iface{Name: name, Lost: map[string]uint64{}, PacketRate: unknown, BitRate: unknown, LossRate: unknown}
	k := named(r.losses.Interfaces, name)
	if k != nil {
		a.Kind, a.MTU = kindOf(k.Hatype), k.MTU
	}
	p := h.find(name)
	for i := range r.losses.Links {
		link := &r.losses.Links[i]
		if link.Name != name {
			continue
		}
		for c, n := range link.Lost {
			a.Lost[loss.CounterNames[c]] = n
		}
		if p != nil {
			now := h.linkMark(r, link, k)
			a.PacketRate, a.BitRate, a.LossRate = ratesOf(&p.marks[h.recent(r)%marks], &now)
		}
	}
	if p == nil {
		return a
	}
	if k != nil && p.index == k.Index {
		a.Driver, a.Offloads = p.device.Driver, offloadsOf(&p.device)
	}
	if charts {
		a.History = &linkHistory{}
		for i := first + 1; i < h.taken; i++ {
			packets, bits, lost := ratesOf(&p.marks[(i-1)%marks], &p.marks[i%marks])
			a.History.Packets, a.History.Bits, a.History.Lost = append(a.History.Packets, packets), append(a.History.Bits, bits), append(a.History.Lost, lost)
		}
	}
	return a
}

// ratesOf returns the rates between two marks of an interface.
func ratesOf(then, now *linkMark) (packets, bits, lost number) {
	packets = rate(then.packets, now.packets, then.at, now.at).whole()
	bits = (8 * rate(then.bytes, now.bytes, then.at, now.at)).whole()
	lost = 0
	for i := range now.lost {
		lost += rate(then.lost[i], now.lost[i], then.at, now.at)
	}
	return packets, bits, lost
}

// historyOf returns the charts of the whole capture, made of those of its parts. The caller holds mu.
func (h *History) historyOf(first int, a *answer) *history {
	n := h.taken - 1 - first
	c := &history{Interval: number(Interval.Seconds()), Packets: make(series, n), Drops: make(series, n), Bits: make(series, n), Table: make(series, n), Ring: make(series, n)}
	c.End = seconds(h.start.Add(h.capture[(h.taken-1)%marks].at))
	for i := range n {
		at := (first + 1 + i) % marks
		var all workerMark
		for w := range h.workers {
			m := &h.workers[w][at]
			all.connections, all.capacity = all.connections+m.connections, all.capacity+m.capacity
			all.ringWaiting, all.ringAll = all.ringWaiting+m.ringWaiting, all.ringAll+m.ringAll
		}
		c.Table[i], c.Ring[i] = share(all.connections, all.capacity), share(all.ringWaiting, all.ringAll)
		for w := range a.Workers {
			if p := a.Workers[w].History; p != nil {
				c.Packets[i] += p.Packets[i]
				c.Drops[i] += p.Drops[i]
			}
		}
		c.Bits[i] = unknown
		for k := range a.Interfaces {
			if p := &a.Interfaces[k]; p.Captured && p.History != nil {
				c.Bits[i] = c.Bits[i].plus(p.History.Bits[i])
			}
		}
	}
	return c
}
