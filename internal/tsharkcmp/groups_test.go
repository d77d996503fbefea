package tsharkcmp

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// handshakes are what tshark knows of the handshakes in a capture.
type handshakes struct {
	stream map[int]int     // of each frame
	once   map[int]bool    // streams with one SYN and one SYN+ACK, in the order of their times, on fresh ports
	rtt    map[int]float64 // seconds, of those that have one
}

// tsharkHandshakes lets tshark find them.
func tsharkHandshakes(t *testing.T, path string) handshakes {
	cmd := exec.Command("tshark", "-n", "-r", path, "-Y", "tcp && !icmp && !icmpv6", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=l",
		"-e", "frame.number", "-e", "tcp.stream", "-e", "tcp.flags", "-e", "tcp.analysis.initial_rtt", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "frame.time_delta")
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir(), "LC_ALL=C")
	out, _ := cmd.Output() // it reports a damaged capture, and has its frames up to there all the same
	h := handshakes{map[int]int{}, map[int]bool{}, map[int]float64{}}
	seen := map[int][2]int{}        // SYNs and SYN+ACKs of each stream
	unanswered := map[string]bool{} // ports whose latest SYN was: the next one is another attempt, and not timed
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		number, err1 := strconv.Atoi(f[0])
		stream, err2 := strconv.Atoi(f[1])
		flags, err3 := strconv.ParseUint(f[2], 0, 16)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatalf("tshark printed %q", line)
		}
		h.stream[number] = stream
		n := seen[stream]
		switch flags & (flagSYN | flagACK) {
		case flagSYN:
			n[0]++
			if ports := f[4] + " " + f[5]; unanswered[ports] {
				n[0]++
			} else {
				unanswered[ports] = true
			}
		case flagSYN | flagACK:
			n[1]++
			if delta, err := strconv.ParseFloat(f[6], 64); err != nil || math.Abs(delta) > 3600 { // a clock that was set
				n[1]++
			}
			delete(unanswered, f[5]+" "+f[4])
		}
		seen[stream] = n
		h.once[stream] = n == [2]int{1, 1}
		if f[3] != "" {
			if h.rtt[stream], err1 = strconv.ParseFloat(f[3], 64); err1 != nil {
				t.Fatalf("tshark printed %q", line)
			}
		}
	}
	return h
}

// TestGroupsAgainstTshark wants groups to have what streams have of each capture, and the two legs of a handshake to sum
// up to tshark's round trip wherever SYN and SYN+ACK were seen once.
func TestGroupsAgainstTshark(t *testing.T) {
	need.Tool(t, "tshark")
	compared := 0
	for path := range sampleFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			w, err := worker.New(worker.Config{MaxConnections: 1 << 12, StreamAge: endless, FinalizedAge: endless, IPv6: true, GroupMax: 100})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			tshark := tsharkHandshakes(t, path)
			var r group.Reading
			frame, measured := 0, map[int]bool{}
			var before group.Totals
			if err := eachPacket(path, func(p *pcapfile.Packet) error {
				w.Frame(p.Link, p.Data, p.WireLen, p.Time)
				frame++
				if stream := tshark.stream[frame]; measured[stream] || tshark.rtt[stream] == 0 {
					return nil
				}
				w.Groups(&r)
				now := &r.Rows[0].Totals
				count, ns := uint64(0), uint64(0)
				for leg := range now.Handshake {
					count += now.Handshake[leg].Count() - before.Handshake[leg].Count()
					ns += now.Handshake[leg].Sum - before.Handshake[leg].Sum
				}
				before = *now
				if count == 0 {
					return nil
				}
				stream := tshark.stream[frame]
				want := tshark.rtt[stream]
				if count != 2 || math.Abs(float64(ns)/1e9-want) > 2e-6 {
					t.Errorf("frame %d: %d times of %d ns, want %v s in two", frame, count, ns, want)
				}
				measured[stream] = true
				compared++
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for stream := range tshark.rtt {
				if tshark.once[stream] && !measured[stream] {
					t.Errorf("tshark's stream %d has a handshake of %v s, and it is not counted", stream, tshark.rtt[stream])
				}
			}
			w.Groups(&r)
			before = r.Rows[0].Totals
			streams, err := RunExporter(path)
			if err != nil {
				t.Fatal(err)
			}
			var want, got Figures
			for _, f := range streams {
				want.addCounts(f.Packets, f.Bytes, f.Retransmissions, f.OutOfOrder, f.Gaps, f.DuplicateACKs, f.ZeroWindows, f.Resets)
			}
			for _, d := range before.Data {
				got.addCounts(d.Packets, d.Bytes, d.Retransmits+d.HandshakeRetransmits, d.OutOfOrder, d.Gaps, d.DuplicateAcks, d.ZeroWindows, d.Resets)
			}
			// A SYN that waited for its confirmation is counted by the stream before it and by its own.
			if waited := got.Packets - want.Packets; waited <= w.Stats().Replaced {
				want.Packets = got.Packets
			}
			if !got.sameCounts(&want) {
				t.Errorf("groups have %+v,\nstreams %+v", got, want)
			}
		})
	}
	if compared < 10 {
		t.Errorf("only %d handshakes were compared", compared)
	}
}

// addCounts adds counters of a direction.
func (f *Figures) addCounts(packets, bytes, retransmissions, outOfOrder, gaps, duplicateACKs, zeroWindows, resets uint64) {
	f.Packets += packets
	f.Bytes += bytes
	f.Retransmissions += retransmissions
	f.OutOfOrder += outOfOrder
	f.Gaps += gaps
	f.DuplicateACKs += duplicateACKs
	f.ZeroWindows += zeroWindows
	f.Resets += resets
}
