package tsharkcmp

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ReadTSV reads stored figures of tshark: a header line that names the columns, then one line per
// direction, fields separated by tabs.
func ReadTSV(path string) (Table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	column := map[string]int{}
	for i, name := range strings.Split(lines[0], "\t") {
		column[name] = i
	}
	t := Table{}
	for n, line := range lines[1:] {
		r := tsvRow{column: column, fields: strings.Split(line, "\t")}
		src := netip.AddrPortFrom(r.addr("src_ip"), uint16(r.uint("src_port")))
		dst := netip.AddrPortFrom(r.addr("dst_ip"), uint16(r.uint("dst_port")))
		f := t.at(Direction{src, dst})
		*f = Figures{
			Packets: r.uint("packets"), Bytes: r.uint("bytes"),
			Retransmissions: r.uint("retransmissions"), OutOfOrder: r.uint("out_of_order"),
			Gaps: r.uint("lost_segment"), DuplicateACKs: r.uint("dup_acks"),
			ZeroWindows: r.uint("zero_window"), Resets: r.uint("resets"), Window: r.uint("win_last"),
			Connections: r.uint("tcp_streams"), FragmentFrames: r.uint("frag_frames"), NoLength: r.uint("nolen"),
			RTT: Samples{N: int(r.uint("rttstrict_n"))},
		}
		if f.RTT.N > 0 {
			f.RTT.Avg, f.RTT.Min, f.RTT.Max = r.float("rttstrict_avg"), r.float("rttstrict_min"), r.float("rttstrict_max")
		}
		if r.err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n+2, r.err)
		}
	}
	// The stored samples include the time from a SYN to the RST that refuses it, which is no round trip here.
	for d, f := range t {
		if answer := t[d.Reverse()]; answer != nil && answer.Packets == answer.Resets {
			f.RTT = Samples{}
		}
	}
	return t, nil
}

// tsvRow is one line; err is the first thing wrong with it.
type tsvRow struct {
	column map[string]int
	fields []string
	err    error
}

func (r *tsvRow) field(name string) string {
	i, ok := r.column[name]
	if !ok || i >= len(r.fields) {
		r.note(fmt.Errorf("no column %s", name))
		return ""
	}
	return r.fields[i]
}

func (r *tsvRow) note(err error) {
	if err != nil && r.err == nil {
		r.err = err
	}
}

func (r *tsvRow) uint(name string) uint64 {
	v, err := strconv.ParseUint(r.field(name), 10, 64)
	r.note(err)
	return v
}

func (r *tsvRow) float(name string) float64 {
	v, err := strconv.ParseFloat(r.field(name), 64)
	r.note(err)
	return v
}

func (r *tsvRow) addr(name string) netip.Addr {
	v, err := netip.ParseAddr(r.field(name))
	r.note(err)
	return v
}
