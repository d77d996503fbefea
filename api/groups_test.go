package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/worker"
)

// fakeGroups hands out fixed rows.
type fakeGroups struct{ rows []group.Row }

func (f *fakeGroups) Groups(_ context.Context, r *group.Reading) error {
	r.Rows = append(r.Rows[:0], f.rows...)
	r.Overflow, r.Capacity, r.Used = 7, [2]int{128, 4096}, [2]int{3, 1}
	return nil
}

// testHistogram stands in for what a histogram holds: a sum of n ms is n counts, of 1 ms each.
func testHistogram(h *group.Histogram) Histogram {
	n := h.Sum / 1e6
	return Histogram{Count: n, Bounds: []float64{0.0005, 0.001, 0.0025}, Cumulative: []uint64{0, n, n},
		FineBounds: []float64{0.0009, 0.001, 0.0011}, FineCumulative: []uint64{0, n, n}}
}

func testMember(m group.Member) string {
	if m.Bits != 0 {
		return fmt.Sprintf("%v/%d", m.Net.Netip(), m.Bits-96)
	}
	return map[uint32]string{0: "other", 1: "lan", 2: "dmz"}[m.Name]
}

// counted fills every counter of t with numbers that differ, from n on.
func counted(n uint64) (t group.Totals) {
	v := reflect.ValueOf(&t).Elem()
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Uint64:
			v.SetUint(n)
			n++
		case reflect.Array:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[group.Histogram]() {
				v.Addr().Interface().(*group.Histogram).Sum = n * 1e6
				n++
				return
			}
			for kind, field := range v.Fields() {
				if kind.Name == "Duration" || kind.Name == "Size" {
					continue // distributions that the answer does not have
				}
				fill(field)
			}
		}
	}
	fill(v)
	return t
}

func groupsHandler(rows ...group.Row) *Handler {
	return New(&fakeSource{}, Options{IPv6: true, Groups: &fakeGroups{rows}, Member: testMember, Histogram: testHistogram,
		InterfaceName: func(i uint32) string { return map[uint32]string{2: "eth0"}[i] },
		Totals:        func() worker.Stats { return worker.Stats{} }})
}

var testRows = func() []group.Row {
	lan, dmz := group.Member{Name: 1}, group.Member{Name: 2}
	subnet := group.Member{Name: 1, Bits: 120, Net: parse.AddrFrom4(10<<24 | 7<<8)}
	oneWay := group.Totals{Opened: 5, OneWay: 5, HalfOpen: 5}
	oneWay.Data[group.FromServer] = group.Data{Packets: 10, Bytes: 1}
	return []group.Row{
		{Key: group.Key{Client: dmz, Server: group.Member{}, Service: 0}, Totals: oneWay},
		{Key: group.Key{Client: lan, Server: dmz, Service: 443, Interface: 2}, Totals: counted(1000)},
		{Key: group.Key{Client: subnet, Server: dmz, Service: 22, Interface: 9}, Totals: counted(100)},
	}
}()

func TestGoldenGroups(t *testing.T) {
	golden(t, "testdata/groups.json", ask(t, groupsHandler(testRows...), "GET", GroupsPath).Body.Bytes())
	golden(t, "testdata/nogroups.json", ask(t, groupsHandler(), "GET", GroupsPath).Body.Bytes())
}

// Every counter of a combination is in the answer, once.
func TestEveryCounterOfAGroupIsShown(t *testing.T) {
	text := ask(t, groupsHandler(testRows[1]), "GET", GroupsPath).Body.String()
	d := json.NewDecoder(strings.NewReader(text[strings.Index(text, `"groups":[`)+len(`"groups":`):]))
	d.UseNumber()
	var rows []any
	if err := d.Decode(&rows); err != nil {
		t.Fatal(err)
	}
	var seen []string
	var collect func(v any, path string)
	collect = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			for name, x := range v {
				collect(x, path+"/"+name)
			}
		case json.Number:
			if !strings.Contains(path, "quantiles") && !strings.Contains(path, "sum_") {
				seen = append(seen, v.String())
			}
		}
	}
	collect(rows[0], "")
	slices.Sort(seen)
	last := 1000 + 2*10 + 2 + group.ClosedReasons + group.FailedReasons + 3 + 2*group.Legs // one more than the last
	for n := 1000; n < last; n++ {
		if seen[n-1000] != fmt.Sprint(n) {
			t.Fatalf("%d is not there once: %v", n, seen)
		}
	}
	if len(seen) != last-1000 {
		t.Errorf("%d figures, want %d", len(seen), last-1000)
	}
}

func TestGroupFilters(t *testing.T) {
	h := groupsHandler(testRows...)
	for query, want := range map[string]string{
		"":                           "lan>dmz:443 10.0.7.0/24>dmz:22 dmz>other:other", // by bytes
		"limit=1":                    "lan>dmz:443",
		"client_group=lan":           "lan>dmz:443",
		"client_group=10.0.7.0%2f24": "10.0.7.0/24>dmz:22",
		"server_group=dmz":           "lan>dmz:443 10.0.7.0/24>dmz:22",
		"group=dmz":                  "lan>dmz:443 10.0.7.0/24>dmz:22 dmz>other:other",
		"group=other":                "dmz>other:other",
		"service=other":              "dmz>other:other",
		"service=22":                 "10.0.7.0/24>dmz:22",
		"interface=eth0":             "lan>dmz:443",
		"interface=9":                "10.0.7.0/24>dmz:22",
		"group=nobody":               "",
	} {
		var a struct {
			Groups []groupRow
			Used   int `json:"groups_matched"`
			Lost   int `json:"overflow_connections_total"`
		}
		w := ask(t, h, "GET", GroupsPath+"?"+query)
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		var got []string
		for _, r := range a.Groups {
			got = append(got, r.Client+">"+r.Server+":"+r.Service)
		}
		if text := strings.Join(got, " "); text != want || a.Used < len(got) || a.Lost != 7 {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
}

// What one direction cannot show is absent, and what was not measured, too.
func TestGroupsOfOneDirection(t *testing.T) {
	r := groupsHandler().row(&named{Row: &testRows[0]})
	if r.DuplicateAcks != nil || r.RTT != nil || r.Handshake != nil {
		t.Errorf("%+v", r)
	}
	client := testRows[0]
	client.Data[group.FromClient], client.Data[group.FromServer] = client.Data[group.FromServer], group.Data{}
	if r := groupsHandler().row(&named{Row: &client}); r.DuplicateAcks != nil {
		t.Errorf("%+v", r)
	}
	both := testRows[0]
	both.Data[group.FromClient].Packets, both.EstablishedNow = 1, 1
	both.Data[group.FromServer].DuplicateAcks = 3
	both.RTT[group.ServerLeg].Sum = 5e6
	if r := groupsHandler().row(&named{Row: &both}); r.DuplicateAcks == nil || *r.DuplicateAcks.FromServer != 3 || r.RTT == nil || r.RTT.Client != nil || r.RTT.Server.Count != 5 {
		t.Errorf("%+v", r)
	}
}

func TestQuantiles(t *testing.T) {
	h := Histogram{Count: 100, FineBounds: []float64{1, 2, 4}, FineCumulative: []uint64{10, 50, 90}}
	for q, want := range map[float64]float64{0.05: 0.5, 0.1: 1, 0.3: 1.5, 0.5: 2, 0.7: 3, 0.9: 4, 0.95: 4} {
		if got := h.quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if got := (&Histogram{Count: 1}).quantile(0.5); got != 0 {
		t.Errorf("without buckets: %v", got)
	}
}
