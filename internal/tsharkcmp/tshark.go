package tsharkcmp

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// frameFields lists the fields that tshark prints of every TCP frame.
var frameFields = []string{
	"frame.number", "frame.time_epoch",
	"ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.stream",
	"tcp.len", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size",
	"tcp.analysis.retransmission", "tcp.analysis.out_of_order", "tcp.analysis.lost_segment",
	"tcp.analysis.duplicate_ack", "tcp.analysis.zero_window", "tcp.analysis.keep_alive",
	"tcp.analysis.keep_alive_ack", "tcp.analysis.zero_window_probe", "tcp.analysis.spurious_retransmission",
	"ip.fragments", "ipv6.fragments",
}

// RunTshark lets tshark analyse a capture file and adds up its verdicts per direction. No TCP
// header quoted in an ICMP error counts.
func RunTshark(path string) (Table, error) {
	// A folder without settings: the user's own must not change the figures.
	config, err := os.MkdirTemp("", "tshark-settings")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(config)
	args := []string{
		"-n", "-r", path, "-Y", "tcp && !icmp && !icmpv6",
		"-o", "tcp.relative_sequence_numbers:FALSE", "-o", "tcp.analyze_sequence_numbers:TRUE",
		"-T", "fields", "-E", "separator=/t", "-E", "occurrence=l",
	}
	for _, f := range frameFields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+config, "LC_ALL=C")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting tshark: %w", err)
	}
	sum := newTotals()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var bad error
	for lines.Scan() {
		f, err := parseFrame(lines.Text())
		if err != nil {
			bad = fmt.Errorf("tshark printed %q: %w", lines.Text(), err)
			continue
		}
		sum.add(f)
	}
	if bad == nil {
		bad = lines.Err()
	}
	// tshark analyses a damaged capture up to the damage, reports it and exits with 2.
	if err := cmd.Wait(); err != nil && len(sum.each) == 0 {
		return nil, fmt.Errorf("tshark: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return sum.table(), bad
}

// TsharkVersion returns the first line of tshark --version.
func TsharkVersion() (string, error) {
	out, err := exec.Command("tshark", "--version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return line, err
}

// frame is a TCP frame with tshark's verdicts.
type frame struct {
	number                              uint64
	time                                int64 // ns since the epoch, wrapping
	dir                                 Direction
	stream                              uint64
	len                                 uint64
	hasLen                              bool
	seq, ack                            uint32
	flags                               uint64
	window                              uint64
	retrans, ooo, lost, dup, zero, keep bool
	keepAck, probe, spurious            bool
	fragments                           bool
}

const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

func parseFrame(line string) (frame, error) {
	v := strings.Split(line, "\t")
	if len(v) != len(frameFields) {
		return frame{}, fmt.Errorf("%d fields, want %d", len(v), len(frameFields))
	}
	value := map[string]string{}
	for i, name := range frameFields {
		value[name] = v[i]
	}
	var err error
	num := func(name string, base int) uint64 {
		text := value[name]
		if text == "" {
			return 0
		}
		n, e := strconv.ParseUint(strings.TrimPrefix(text, "0x"), base, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
		return n
	}
	end := func(addr, port string) netip.AddrPort {
		text := value["ip."+addr]
		if text == "" {
			text = value["ipv6."+addr]
		}
		a, e := netip.ParseAddr(text)
		if e != nil && err == nil {
			err = e
		}
		return netip.AddrPortFrom(a, uint16(num(port, 10)))
	}
	f := frame{
		number: num("frame.number", 10), dir: Direction{end("src", "tcp.srcport"), end("dst", "tcp.dstport")},
		stream: num("tcp.stream", 10), len: num("tcp.len", 10), hasLen: value["tcp.len"] != "",
		seq: uint32(num("tcp.seq_raw", 10)), ack: uint32(num("tcp.ack_raw", 10)),
		flags: num("tcp.flags", 16), window: num("tcp.window_size", 10),
		retrans: value["tcp.analysis.retransmission"] != "", ooo: value["tcp.analysis.out_of_order"] != "",
		lost: value["tcp.analysis.lost_segment"] != "", dup: value["tcp.analysis.duplicate_ack"] != "",
		zero: value["tcp.analysis.zero_window"] != "", keep: value["tcp.analysis.keep_alive"] != "",
		keepAck: value["tcp.analysis.keep_alive_ack"] != "", probe: value["tcp.analysis.zero_window_probe"] != "",
		spurious:  value["tcp.analysis.spurious_retransmission"] != "",
		fragments: value["ip.fragments"]+value["ipv6.fragments"] != "",
	}
	var e error
	if f.time, e = parseTime(value["frame.time_epoch"]); e != nil && err == nil {
		err = e
	}
	return f, err
}

// parseTime reads seconds with nine decimals as ns. Captures from broken clocks hold times that no
// int64 of ns does; their differences come out right all the same.
func parseTime(text string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if strings.HasPrefix(whole, "-") {
		ns = -ns
	}
	return sec*1e9 + ns, err
}

// totals adds frames up, each of tshark's streams for itself.
type totals struct {
	each    map[Direction][]*Figures
	index   map[place]*Figures
	first   map[place]uint32 // sequence number of the first payload
	streams map[uint64]*unacked
}

// place is a direction of one of tshark's streams.
type place struct {
	dir    Direction
	stream uint64
}

func newTotals() *totals {
	return &totals{
		each: map[Direction][]*Figures{}, index: map[place]*Figures{}, first: map[place]uint32{}, streams: map[uint64]*unacked{},
	}
}

func (t *totals) at(d Direction, stream uint64) *Figures {
	f := t.index[place{d, stream}]
	if f == nil {
		f = &Figures{Connections: 1}
		t.index[place{d, stream}] = f
		t.each[d] = append(t.each[d], f)
	}
	return f
}

func (t *totals) add(f frame) {
	d := t.at(f.dir, f.stream)
	d.Packets++
	d.Bytes += f.len
	count := func(to *uint64, yes bool) {
		if yes {
			*to++
		}
	}
	count(&d.Retransmissions, f.retrans)
	count(&d.OutOfOrder, f.ooo)
	count(&d.Gaps, f.lost)
	count(&d.DuplicateACKs, f.dup)
	count(&d.ZeroWindows, f.zero)
	count(&d.Resets, f.flags&flagRST != 0)
	count(&d.FragmentFrames, f.fragments)
	count(&d.NoLength, !f.hasLen)
	if f.len != 0 {
		t.cover(f, d)
	}
	d.Window = f.window
	u := t.streams[f.stream]
	if u == nil {
		u = &unacked{}
		t.streams[f.stream] = u
	}
	v := u.verdicts(f)
	count(&d.MissedRepeats, v.missedRepeat)
	count(&d.MissedDuplicateACKs, v.missedDuplicateACK)
	count(&d.EarlyACKs, v.earlyACK)
	if rtt, ok := u.add(f); ok {
		t.at(f.dir.Reverse(), f.stream).RTT.add(rtt)
	}
}

// cover widens the span of a direction, of up to 2 GiB, by a frame with payload. One from before the
// first leaves it as it is.
func (t *totals) cover(f frame, d *Figures) {
	at := place{f.dir, f.stream}
	first, known := t.first[at]
	if !known {
		first = f.seq
		t.first[at] = first
	}
	if end := f.seq + uint32(f.len) - first; int32(end) > 0 {
		d.Span = max(d.Span, uint64(end))
	}
}

// table merges the streams of each direction.
func (t *totals) table() Table {
	out := Table{}
	for d, each := range t.each {
		f := &Figures{}
		for _, one := range each {
			f.merge(one)
		}
		if len(each) > 1 {
			for _, one := range each {
				f.Each = append(f.Each, *one)
			}
		}
		out[d] = f
	}
	return out
}
