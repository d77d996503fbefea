package tsharkcmp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// TestTunnelsAgainstTshark wants the packets and bytes of each direction that tshark finds in packets within one another,
// as many as a Decoder opens.
func TestTunnelsAgainstTshark(t *testing.T) {
	needTshark40(t)
	r := rand.New(rand.NewPCG(2026, 11))
	path := filepath.Join(t.TempDir(), "tunnels.pcap")
	order := binary.LittleEndian
	file := order.AppendUint32(nil, 0xa1b2c3d4) // pcap(5), microseconds
	file = order.AppendUint32(file, 4<<16|2)
	file = append(file, make([]byte, 8)...)
	file = order.AppendUint32(order.AppendUint32(file, 262144), 1)
	set, err := parse.ParseTunnels(parse.TunnelNames())
	if err != nil {
		t.Fatal(err)
	}
	ends := [][2]netip.AddrPort{
		{netip.MustParseAddrPort("10.1.0.1:50001"), netip.MustParseAddrPort("10.1.0.2:50002")},
		{netip.MustParseAddrPort("[2001:db8:1::1]:50003"), netip.MustParseAddrPort("[2001:db8:1::2]:50004")},
	}
	ours := Table{}
	d := parse.Decoder{Tunnels: set}
	for i := range 4000 {
		side := r.IntN(2)
		pair := ends[r.IntN(len(ends))]
		p := packet.TCP{Src: pair[side], Dst: pair[1-side], Seq: r.Uint32(), Ack: 1, Flags: packet.ACK, Window: 100, Payload: r.IntN(300)}
		ip := p.IP()
		for range r.IntN(parse.MaxTunnels + 1) {
			ip = packet.Nest(r, ip)
		}
		frame := packet.InEthernet(packet.TypeOf(ip), ip)
		for _, word := range []int{i, 0, len(frame), len(frame)} {
			file = order.AppendUint32(file, uint32(word))
		}
		file = append(file, frame...)
		var seg parse.Segment
		if why := d.Frame(parse.LinkEthernet, frame, uint32(len(frame)), &seg); why != parse.OK {
			t.Fatalf("packet %d: %v: % x", i+1, why, frame)
		}
		src, dst, srcPort, dstPort := seg.Endpoints(int(seg.Dir()))
		at := Direction{netip.AddrPortFrom(src.Netip(), srcPort), netip.AddrPortFrom(dst.Netip(), dstPort)}
		if ours[at] == nil {
			ours[at] = &Figures{}
		}
		ours[at].Packets++
		ours[at].Bytes += uint64(seg.Len)
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	got := innermost(t, path)
	if len(ours) != 4 || len(got) != 4 {
		t.Fatalf("%d directions, tshark %d: %v", len(ours), len(got), got)
	}
	for at, want := range ours {
		if tshark := got[at]; tshark == nil || tshark.Packets != want.Packets || tshark.Bytes != want.Bytes {
			t.Errorf("%v: tshark %+v, ours %+v", at, tshark, want)
		}
	}
}

// innermost returns the packets and bytes of payload that tshark finds, by the TCP header that comes last in each frame.
func innermost(t *testing.T, path string) Table {
	t.Helper()
	args := []string{"-n", "-r", path, "-o", "tcp.analyze_sequence_numbers:FALSE", "-d", "udp.port==8472,vxlan",
		"-T", "fields", "-E", "separator=/t", "-E", "occurrence=l"}
	fields := []string{"ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.len"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir(), "LC_ALL=C")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, &complaint)
	}
	all := Table{}
	for line := range strings.Lines(string(out)) {
		v := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(v) != len(fields) || v[4] == "" {
			t.Fatalf("tshark printed %q", line)
		}
		src, dst := v[0], v[1]
		if v[4] == "50003" || v[4] == "50004" { // the ports say which of the two families is inside
			src, dst = v[2], v[3]
		}
		end := func(addr, port string) netip.AddrPort {
			a, err := netip.ParseAddrPort(fmt.Sprintf("[%s]:%s", addr, port))
			if err != nil {
				a, err = netip.ParseAddrPort(addr + ":" + port)
			}
			if err != nil {
				t.Fatalf("tshark printed %q: %v", line, err)
			}
			return a
		}
		at := Direction{end(src, v[4]), end(dst, v[5])}
		n, err := strconv.ParseUint(v[6], 10, 64)
		if err != nil {
			t.Fatalf("tshark printed %q: %v", line, err)
		}
		if all[at] == nil {
			all[at] = &Figures{}
		}
		all[at].Packets++
		all[at].Bytes += n
	}
	return all
}
