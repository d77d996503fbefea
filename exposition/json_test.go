package exposition

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// randomStreams returns streams with figures of all kinds, those included that JSON cannot hold.
func randomStreams(n int) Streams {
	r := rand.New(rand.NewPCG(3, 4))
	all := append(expositiontest.Fixed(), expositiontest.Random(r, n)...)
	for range n {
		all = append(all, expositiontest.FromBits([4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}, r.Uint32(), r.Uint64(), r.Uint32(), uint8(r.Uint32())))
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 63} {
		all = append(all, expositiontest.FromBits([4]uint64{0, 1, 2, 3}, 4, math.Float64bits(x), math.Float32bits(float32(x)), 0xff))
	}
	s := Streams{Extras: make([]stream.Extra, len(all))}
	s.Views, s.Wide = expositiontest.Views(all)
	for i := range s.Extras {
		e := &s.Extras[i]
		e.Handshake, e.Syn, e.First, e.Last = r.Int64()-math.MaxInt64/2, r.Int64N(2)*r.Int64(), r.Int64(), r.Int64()
		e.RTTs, e.RTTSum, e.Wire, e.MSS = r.Uint32(), r.Uint64(), r.Uint64(), uint16(r.Uint32N(2)*r.Uint32())
	}
	return s
}

// TestJSONAgainstEncodingJSON builds each stream's object as a map, the slow way, and wants encoding/json to read
// the same from the line as from what it writes itself.
func TestJSONAgainstEncodingJSON(t *testing.T) {
	s := randomStreams(2000)
	families := AllFamilies()
	var out bytes.Buffer
	if err := new(Writer).WriteJSON(&out, &Content{Selection: families.Select(nil), Streams: s}); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	if len(lines) != len(s.Views)+1 || lines[len(lines)-1] != "" {
		t.Fatalf("%d lines for %d streams", len(lines)-1, len(s.Views))
	}
	left := 0
	for i := range s.Views {
		v := &s.Views[i]
		ends := v.Ends(s.Wide)
		want := map[string]any{
			"schema": 1, "src_ip": ends.Src.Netip(), "src_port": v.SrcPort, "dst_ip": ends.Dst.Netip(), "dst_port": v.DstPort,
			"state": map[bool]string{true: "finalized", false: "active"}[v.Finalized],
		}
		for _, f := range families {
			x, known := 0.0, v.Has&f.needs == f.needs
			if f.extra != nil {
				x, known = f.extra(&s.Extras[i])
			} else if known {
				x = f.value(v)
			}
			if f.number == single { // the shortest text of a float32
				x, _ = strconv.ParseFloat(strconv.FormatFloat(x, 'g', -1, 32), 64)
			}
			if known && (math.IsNaN(x) || math.IsInf(x, 0)) {
				left++
			} else if known {
				want[f.Name] = x
			}
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var ours, theirs map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &ours); err != nil {
			t.Fatalf("%v: %s", err, lines[i])
		}
		if err := json.Unmarshal(text, &theirs); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("%s\nwant %s", lines[i], text)
		}
		if fields := strings.Count(lines[i], `,"`) + 1; fields != len(ours) {
			t.Fatalf("%d fields, %d names: %s", fields, len(ours), lines[i])
		}
	}
	if left == 0 {
		t.Error("no figure was infinite or NaN: the test shows nothing of them")
	}
}

// TestJSONOfNoStreams wants no line.
func TestJSONOfNoStreams(t *testing.T) {
	var out bytes.Buffer
	if err := new(Writer).WriteJSON(&out, &Content{Selection: AllFamilies().Select(nil)}); err != nil || out.Len() != 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// TestJSONStopsAtAnError of what it writes to, and allocates nothing once it has a buffer.
func TestJSONStopsAtAnError(t *testing.T) {
	c := Content{Selection: AllFamilies().Select(nil), Streams: randomStreams(1000)}
	var w Writer
	full := errors.New("full")
	calls := 0
	if err := w.WriteJSON(writerFunc(func(p []byte) (int, error) { calls++; return 0, full }), &c); err != full || calls != 1 {
		t.Errorf("%v after %d writes", err, calls)
	}
	discard := writerFunc(func(p []byte) (int, error) { return len(p), nil })
	if n := testing.AllocsPerRun(5, func() {
		if err := w.WriteJSON(discard, &c); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Where a stream was seen is in its object, as it is among its labels, whatever the name is made of.
func TestJSONHasTheOrigin(t *testing.T) {
	const odd = "a\"\\\x01<é\xff"
	s := Streams{InterfaceName: func(i uint32) string { return map[uint32]string{2: "eth0", 3: odd}[i] }}
	for _, o := range []stream.Origin{{}, {IfIndex: 2}, {IfIndex: 3, VLANs: parse.VLANs(0).Push(10)}, {IfIndex: 4}, {VLANs: parse.VLANs(0).Push(10).Push(20)}, {Shared: true}} {
		var v stream.View
		s.Wide = v.SetEnds(stream.Ends{Src: parse.AddrFrom4(1), Dst: parse.AddrFrom4(2), Origin: o}, s.Wide)
		s.Views = append(s.Views, v)
	}
	var out bytes.Buffer
	if err := new(Writer).WriteJSON(&out, &Content{Streams: s}); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	for i, want := range [][2]string{{}, {"eth0"}, {"a\"\\\x01<é" + `\xff`, "10"}, {"4"}, {"", "10.20"}, {"all others"}} {
		var got struct{ Interface, VLAN *string }
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		for k, text := range []*string{got.Interface, got.VLAN} {
			if (text == nil) != (want[k] == "") || text != nil && *text != want[k] {
				t.Errorf("stream %d: %+v, want %q", i, got, want)
			}
		}
	}
}

// What one direction cannot show is left out of an object of the API, and nothing else.
func TestObjectsOfOneDirection(t *testing.T) {
	s := Streams{Views: []stream.View{{Health: 90, DuplicateAcks: 5, Retransmits: 1}, {Health: 90, DuplicateAcks: 5, Retransmits: 1, Has: stream.HasReverse}}}
	var fields [2]map[string]any
	for i := range fields {
		if err := json.Unmarshal([]byte("{"+string(DefaultFamilies().AppendObject(nil, &s, i))+"}"), &fields[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tcp_stream_health_score", "tcp_duplicate_acks_total"} {
		if _, has := fields[0][name]; has {
			t.Errorf("%s of one direction", name)
		}
		if _, has := fields[1][name]; !has {
			t.Errorf("no %s of both directions", name)
		}
		delete(fields[1], name)
	}
	if !reflect.DeepEqual(fields[0], fields[1]) {
		t.Errorf("%v and %v", fields[0], fields[1])
	}
}
