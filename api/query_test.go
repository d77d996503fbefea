package api

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"tcp-stream-exporter/parse"
)

// Whatever cannot be is answered with one line that names the parameter, its value and the remedy.
func TestParametersThatCannotBe(t *testing.T) {
	streams := New(&fakeSource{}, Options{})
	groups := New(&fakeSource{}, Options{Groups: &fakeGroups{}})
	for _, row := range []struct{ target, want string }{
		{StreamsPath + "?sort=size", "sort=size: want bytes, packets, retransmits, delay, health or bitrate"},
		{StreamsPath + "?sort=", `sort="": want bytes`},
		{StreamsPath + "?limit=0", "limit=0: want 1 to 1000"},
		{StreamsPath + "?limit=1001", "limit=1001: want 1 to 1000"},
		{StreamsPath + "?limit=-1", "limit=-1: want 1 to 1000"},
		{StreamsPath + "?limit=99999999999999999999", "want 1 to 1000"},
		{StreamsPath + "?limit=1&limit=1", "limit=1: was given before: give each parameter once"},
		{StreamsPath + "?window=1", "window=1: want a duration of 1s to 10s"},
		{StreamsPath + "?window=999ms", "window=999ms: want a duration"},
		{StreamsPath + "?window=11s", "window=11s: want a duration"},
		{StreamsPath + "?window=2s&sort=delay", "window=2s: goes with sort=bytes, packets or retransmits"},
		{StreamsPath + "?addr=10.0.0", "addr=10.0.0: want an address or a prefix, such as 192.0.2.1"},
		{StreamsPath + "?src=10.0.0.0/33", "src=10.0.0.0/33: want an address"},
		{StreamsPath + "?dst=fe80::1%25eth0", "dst=fe80::1%eth0: want an address"},
		{StreamsPath + "?dst=", `dst="": want an address`},
		{StreamsPath + "?port=65536", "port=65536: want 0 to 65535"},
		{StreamsPath + "?port=https", "port=https: want 0 to 65535"},
		{StreamsPath + "?group=lan", "group=lan: no groups are configured: leave it out"},
		{StreamsPath + "?service=443", "service=443: no services are told apart: leave it out"},
		{StreamsPath + "?interface=eth0", "interface=eth0: streams are not told apart by interface: leave it out"},
		{StreamsPath + "?vlan=10", "vlan=10: streams are not told apart by VLAN: leave it out"},
		{StreamsPath + "?state=closed", "state=closed: want active or finalized"},
		{StreamsPath + "?min_bytes=1k", "min_bytes=1k: want a whole number, 0 or more"},
		{StreamsPath + "?since=1s", "parameter=since: no such parameter: there are sort, window, limit, addr, src, dst, port, group, service, interface, vlan, state, min_bytes"},
		{StreamsPath + "?limit=1;sort=bytes", "want name=value"},
		{StreamsPath + "?limit=%zz", "parameter=limit=%zz: want name=value"},
		{StreamsPath + "?sort=a%0Ab%00%ff", `sort="a\nb\x00\xff": want bytes`},
		{StreamsPath + "?sort=" + strings.Repeat("x", 5000), strings.Repeat("x", longest) + "…: want bytes"},
		{GroupsPath + "?limit=0", "limit=0: want 1 to 1000"},
		{GroupsPath + "?group=", `group="": want the name of a group`},
		{GroupsPath + "?sort=bytes", "parameter=sort: no such parameter: there are client_group, server_group, group, service, interface, limit"},
	} {
		h := streams
		if strings.HasPrefix(row.target, GroupsPath) {
			h = groups
		}
		w := ask(t, h, "GET", row.target)
		var a map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || len(a) != 1 || w.Code != 400 || !strings.Contains(a["error"], row.want) || strings.Contains(a["error"], "\n") {
			t.Errorf("%.80s: %d %.300s, want %q", row.target, w.Code, w.Body, row.want)
		}
	}
	byVLAN := New(&fakeSource{}, Options{ByVLAN: true})
	for _, vlan := range []string{"", "0", "4096", "10.", "10.0", "10.20.30", "-1", ".10"} {
		if w := ask(t, byVLAN, "GET", StreamsPath+"?vlan="+vlan); w.Code != 400 || !strings.Contains(w.Body.String(), "want none, a VLAN identifier of 1 to 4095") {
			t.Errorf("vlan=%s: %d %s", vlan, w.Code, w.Body)
		}
	}
}

func TestMethodsAndPaths(t *testing.T) {
	h := New(&fakeSource{}, Options{})
	for _, row := range []struct {
		method, target string
		status         int
	}{
		{"GET", StreamsPath, 200},
		{"HEAD", StreamsPath, 200},
		{"HEAD", StreamsPath + "?limit=x", 400},
		{"POST", StreamsPath, 405},
		{"OPTIONS", StreamsPath, 405},
		{"DELETE", GroupsPath, 405},
		{"GET", GroupsPath, 404}, // none are counted
		{"GET", StreamsPath + "/", 404},
		{"GET", "/api/v2/streams", 404},
		{"POST", "/api/", 404},
	} {
		w := ask(t, h, row.method, row.target)
		if w.Code != row.status || (w.Header().Get("Allow") == "GET, HEAD") != (row.status == 405) || row.status != 200 && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
			t.Errorf("%s %s: %d %v %s", row.method, row.target, w.Code, w.Header(), w.Body)
		}
	}
}

// FuzzQuery brings any query string to the parser: it takes it, or says in one line what is wrong. A prefix that it takes
// has the addresses that share its bits, one by one.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "sort=delay&limit=1000", "addr=10.0.0.0%2f8&src=::1", "window=1.5s&sort=packets", "vlan=10.20&interface=a",
		"port=443&state=active&min_bytes=1", "group=%ff&service=", "a=b;c=d", "&&=&%", "limit", "addr=::ffff:1.2.3.4/100"} {
		f.Add(raw, uint64(0), uint64(0xffff_0a00_0001))
	}
	f.Add("addr=10.0.0.0/16", uint64(0), uint64(0xffff_0a01_0001)) // its neighbour
	o := Options{ByVLAN: true, Group: testGroup, Service: testService, InterfaceName: func(uint32) string { return "" }}
	f.Fuzz(func(t *testing.T, raw string, hi, lo uint64) {
		q, err := o.parseQuery(raw)
		if err != nil {
			if text := err.Error(); text == "" || strings.ContainsAny(text, "\n\r\x00") || len(text) > 1000 || !strings.Contains(text, ": ") {
				t.Fatalf("%q: %q", raw, text)
			}
			return
		}
		if q.limit < 1 || q.limit > maxLimit || q.window != 0 && (q.window < minWindow || q.window > maxWindow || !q.by.Counts()) {
			t.Fatalf("%q: %+v", raw, q)
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q is taken, and is no query: %v", raw, err)
		}
		text := values.Get("addr")
		if text == "" {
			return
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a := netip.MustParseAddr(text)
			p = netip.PrefixFrom(a, a.BitLen())
		}
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		a := parse.Addr{Hi: hi, Lo: lo}
		want := same(parse.AddrFrom(p.Addr()), a, bits)
		if got := q.either.has(a); got != want {
			t.Fatalf("%s has %v: %v, want %v", text, a.Netip(), got, want)
		}
	})
}

// same reports whether two addresses have the first bits in common, one by one.
func same(a, b parse.Addr, bits int) bool {
	for i := range bits {
		x, y, at := a.Hi, b.Hi, 63-i
		if i > 63 {
			x, y, at = a.Lo, b.Lo, 127-i
		}
		if x>>at&1 != y>>at&1 {
			return false
		}
	}
	return true
}
