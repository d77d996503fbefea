package pcapfilter

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// These tests send frames over a veth pair and see which of them the kernel lets through a program. On the
// sending end a frame has its VLAN tags in the bytes; of what arrives, the kernel takes the outer one out.

// packetSocket is a packet socket with a program, bound to an interface by name, or to all with "".
func packetSocket(t *testing.T, ns *lab.NS, name string, prog []bpf.RawInstruction) (fd int) {
	t.Helper()
	err := ns.Do(func() (err error) {
		index := 0
		if name != "" {
			i, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			index = i.Index
		}
		// Without a protocol it hears nothing until it is bound.
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		timeout := unix.NsecToTimeval(int64(10 * time.Second))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return err
		}
		if prog != nil {
			filter := make([]unix.SockFilter, len(prog))
			for k, in := range prog {
				filter[k] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
			}
			fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
			if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
				return fmt.Errorf("attach %d instructions: %w", len(prog), err)
			}
		}
		all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	})
	if err != nil {
		t.Fatalf("packet socket on %q: %v", name, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// send puts frames on an interface. Each bears its number in the source address.
func send(t *testing.T, ns *lab.NS, name string, frames [][]byte) {
	t.Helper()
	fd := packetSocket(t, ns, name, rejectAll())
	for i, f := range frames {
		f = slices.Clone(f)
		copy(f[6:12], []byte{2, 'n', 'o', 0, byte(i >> 8), byte(i)})
		if len(f) < 60 {
			f = append(f, make([]byte, 60-len(f))...) // the shortest Ethernet frame
		}
		if _, err := unix.Write(fd, f); err != nil {
			t.Fatalf("frame %d on %s: %v", i, name, err)
		}
	}
}

// arrival is a frame that came through a program.
type arrival struct {
	frame    []byte
	from     unix.SockaddrLinklayer
	outgoing bool
}

// received reads frames of send until the last number, which must come through. It returns them by number.
func received(t *testing.T, fd, last int) map[int]arrival {
	t.Helper()
	all := map[int]arrival{}
	for {
		buf := make([]byte, 2048)
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatalf("the last frame has not come through: %v; these have: %v", err, slices.Sorted(maps.Keys(all)))
		}
		sll := from.(*unix.SockaddrLinklayer)
		if n < 14 || string(buf[6:10]) != "\x02no\x00" {
			continue
		}
		number := int(binary.BigEndian.Uint16(buf[10:]))
		all[number] = arrival{buf[:n], *sll, sll.Pkttype == unix.PACKET_OUTGOING}
		if number == last {
			return all
		}
	}
}

// passed are the names of the frames that come through a program on both ends, when they are sent from a to b.
func passed(t *testing.T, a, b *lab.NS, prog []bpf.RawInstruction, names []string, frames [][]byte) (sent, got string) {
	t.Helper()
	// Behind the program, a frame that all of these take says that all others have come.
	end := len(frames)
	onA, onB := packetSocket(t, a, lab.IfName, endMark(t, prog)), packetSocket(t, b, lab.IfName, endMark(t, prog))
	send(t, a, lab.IfName, append(slices.Clone(frames), ether(0x88b5, []byte("end"))))
	list := func(all map[int]arrival, outgoing bool) string {
		var in []string
		for number, at := range all {
			if number == end {
				continue
			}
			in = append(in, names[number])
			if at.outgoing != outgoing {
				t.Errorf("%s: outgoing %v, want %v", names[number], at.outgoing, outgoing)
			}
			if typ := binary.BigEndian.Uint16(frames[number][12:]); typ == 0x8100 || typ == 0x88a8 {
				inBytes := binary.BigEndian.Uint16(at.frame[12:]) == typ && string(at.frame[12:16]) == string(frames[number][12:16])
				if inBytes != outgoing {
					t.Errorf("%s: its outer tag is in the bytes: %v, want %v", names[number], inBytes, outgoing)
				}
			}
		}
		slices.Sort(in)
		return strings.Join(in, "; ")
	}
	return list(received(t, onA, end), true), list(received(t, onB, end), false)
}

// endMark lets frames of an experimental EtherType (IEEE 802, local experimental 1) through before a program.
func endMark(t *testing.T, prog []bpf.RawInstruction) []bpf.RawInstruction {
	t.Helper()
	var a assembler
	other := a.label()
	a.add(bpf.LoadAbsolute{Off: 12, Size: 2})
	a.jumpIf(bpf.JumpEqual, 0x88b5, next, other)
	a.add(bpf.RetConstant{Val: snapLen})
	a.place(other)
	a.program(prog)
	marked, err := a.assemble()
	if err != nil {
		t.Fatal(err)
	}
	return marked
}

// tag puts an outer tag before the EtherType of a frame.
func tag(frame []byte, tpid, tci uint16) []byte {
	return slices.Insert(slices.Clone(frame), 12, byte(tpid>>8), byte(tpid), byte(tci>>8), byte(tci))
}

func TestTCPOnVeth(t *testing.T) {
	tcp4, udp4, tcp6 := ipv4(6, 0, tcpHeader()), ipv4(17, 0, udpHeader()), ipv6(6, tcpHeader())
	plain := ether(0x0800, tcp4)
	qinq := tag(tag(plain, 0x8100, 6), 0x88a8, 5)
	four := tag(tag(qinq, 0x8100, 4), 0x8100, 3)
	pppoe := func(ppp string, ip []byte) []byte {
		return ether(0x8864, slices.Concat([]byte{0x11, 0, 0, 1, 0, byte(len(ip) + len(ppp))}, []byte(ppp), ip))
	}
	options := func(next byte, body []byte) []byte { return append([]byte{next, 0, 1, 4, 0, 0, 0, 0}, body...) }
	all := []struct {
		name      string
		frame     []byte
		sent, got bool // passes where it is sent, where it arrives
	}{
		{"IPv4", plain, true, true},
		{"IPv6", ether(0x86dd, tcp6), true, true},
		{"UDP", ether(0x0800, udp4), false, false},
		{"802.1Q", tag(plain, 0x8100, 5), true, true},
		{"802.1ad", tag(plain, 0x88a8, 5), true, true},
		{"0x9100", tag(plain, 0x9100, 5), true, true},
		{"IPv6 in 802.1Q", tag(ether(0x86dd, tcp6), 0x8100, 5), true, true},
		{"UDP in 802.1Q", tag(ether(0x0800, udp4), 0x8100, 5), false, false},
		{"QinQ", qinq, true, true},
		{"UDP in QinQ", tag(tag(ether(0x0800, udp4), 0x8100, 6), 0x88a8, 5), false, false},
		{"four tags", four, false, true}, // one is taken out on arrival
		{"five tags", tag(four, 0x8100, 2), false, false},
		{"PPPoE", pppoe("\x00\x21", tcp4), true, true},
		{"PPPoE, compressed, IPv6", pppoe("\x57", tcp6), true, true},
		{"PPPoE in 802.1Q", tag(pppoe("\x00\x21", tcp4), 0x8100, 7), true, true},
		{"UDP in PPPoE", pppoe("\x00\x21", udp4), false, false},
		{"MPLS", ether(0x8847, append([]byte{0, 1, 1, 64}, tcp4...)), true, true},
		{"MPLS, two labels, in 802.1Q", tag(ether(0x8847, append([]byte{0, 1, 0, 64, 0, 2, 1, 64}, tcp6...)), 0x8100, 8), true, true},
		{"hop-by-hop options", ether(0x86dd, ipv6(0, options(6, tcpHeader()))), true, true},
		{"hop-by-hop and destination options, UDP", ether(0x86dd, ipv6(0, options(60, options(17, udpHeader())))), false, false},
		{"routing, destination options and fragment header", ether(0x86dd, ipv6(43, options(60, options(44, options(6, tcpHeader()))))), true, true},
		{"ARP", ether(0x0806, make([]byte, 28)), false, false},
	}
	var names, sent, got []string
	var frames [][]byte
	for _, f := range all {
		names, frames = append(names, f.name), append(frames, f.frame)
		if f.sent {
			sent = append(sent, f.name)
		}
		if f.got {
			got = append(got, f.name)
		}
	}
	slices.Sort(sent)
	slices.Sort(got)
	l := lab.New(t)
	prog, err := CompileLive("tcp", EN10MB, snapLen)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]bpf.RawInstruction{prog, HeadersOnly(slices.Clone(prog), EN10MB)} {
		for _, ends := range [][2]*lab.NS{{l.A, l.B}, {l.B, l.A}} {
			s, g := passed(t, ends[0], ends[1], p, names, frames)
			if want := strings.Join(sent, "; "); s != want {
				t.Errorf("sent:\n%s\nwant\n%s", s, want)
			}
			if want := strings.Join(got, "; "); g != want {
				t.Errorf("arrived:\n%s\nwant\n%s", g, want)
			}
		}
	}
}

func TestSeveralInterfacesLive(t *testing.T) {
	need.File(t, "/dev/net/tun")
	l := lab.New(t)
	l.A.Run(t, "ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1")
	l.A.Run(t, "ip", "link", "set", "x0", "up")
	l.A.Run(t, "ip", "link", "set", "x1", "up")
	tun := 0
	index := map[string]uint32{}
	err := l.A.Do(func() (err error) {
		if tun, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq("tun0")
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(tun, unix.TUNSETIFF, ifr)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tun)
	l.A.Run(t, "ip", "link", "set", "tun0", "up")
	err = l.A.Do(func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			index[i.Name] = uint32(i.Index)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ethernet, raw := HeadersOnly(mustTCP(t, EN10MB, snapLen), EN10MB), mustTCP(t, Raw, snapLen)
	byHardwareType, err := ByHardwareType(ethernet, raw)
	if err != nil {
		t.Fatal(err)
	}
	byInterface := func(names ...string) []bpf.RawInstruction {
		var list []OfInterface
		for i := range uint32(1000) { // of no interface: the tree is deep
			list = append(list, OfInterface{1000 + 2*i, int(i % 2)})
		}
		for _, name := range names {
			f := OfInterface{Index: index[name]}
			if name == "tun0" {
				f.Program = 1
			}
			list = append(list, f)
		}
		prog, err := ByInterface(list, [][]bpf.RawInstruction{ethernet, raw})
		if err != nil {
			t.Fatal(err)
		}
		return prog
	}
	outgoing := func(prog []bpf.RawInstruction) []bpf.RawInstruction {
		prog, err := OnlyOutgoing(prog)
		if err != nil {
			t.Fatal(err)
		}
		return prog
	}
	tcp4, udp4 := ipv4(6, 0, tcpHeader()), ipv4(17, 0, udpHeader())
	for _, c := range []struct {
		name string
		prog []bpf.RawInstruction
		want string
	}{
		{"all, by hardware type", byHardwareType, "lo in; lo out; tun0 in; veth0 in; veth0 out; x0 out; x1 in"},
		{"all, what is sent", outgoing(byHardwareType), "lo out; veth0 out; x0 out"},
		{"veth0", byInterface("veth0"), "veth0 in; veth0 out"},
		{"x1 and tun0", byInterface("x1", "tun0"), "tun0 in; x1 in"},
		{"x0, x1 and lo, what is sent", outgoing(byInterface("x0", "x1", "lo")), "lo out; x0 out"},
		{"none", byInterface(), ""},
	} {
		fd := packetSocket(t, l.A, "", c.prog)
		end := packetSocket(t, l.A, "", nil) // without a program: it sees the last one
		for range 2 {
			for _, payload := range [][]byte{udp4, tcp4} {
				send(t, l.A, "x0", [][]byte{ether(0x0800, payload)})
				send(t, l.A, lab.IfName, [][]byte{ether(0x0800, payload)})
				send(t, l.B, lab.IfName, [][]byte{ether(0x0800, payload)})
				send(t, l.A, "lo", [][]byte{ether(0x0800, payload)})
				if _, err := unix.Write(tun, payload); err != nil {
					t.Fatal(err)
				}
			}
		}
		// All have arrived when the unfiltered socket has them twice, in and out.
		count := map[string]int{}
		seen := map[string]bool{}
		nameOf := func(sll *unix.SockaddrLinklayer) string {
			for name, i := range index {
				if int(i) == sll.Ifindex {
					return name + map[bool]string{true: " out", false: " in"}[sll.Pkttype == unix.PACKET_OUTGOING]
				}
			}
			return "?"
		}
		isOurs := func(b []byte, name string) bool {
			return name == "tun0 in" || len(b) >= 14 && string(b[6:9]) == "\x02no"
		}
		buf := make([]byte, 2048)
		for waiting := 7 * 4; waiting > 0; {
			n, from, err := unix.Recvfrom(end, buf, 0)
			if err != nil {
				t.Fatalf("%v; there were %v", err, count)
			}
			if name := nameOf(from.(*unix.SockaddrLinklayer)); isOurs(buf[:n], name) {
				count[name]++
				waiting--
			}
		}
		for {
			n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			// The kernel may have something to say of its own, a RST above all.
			if name := nameOf(from.(*unix.SockaddrLinklayer)); isOurs(buf[:n], name) {
				seen[name] = true
				protocol := 14 + 9
				if strings.HasPrefix(name, "tun0") {
					protocol = 9
				}
				if buf[protocol] != 6 {
					t.Errorf("%s: protocol %d came through on %s", c.name, buf[protocol], name)
				}
			}
		}
		if got := strings.Join(slices.Sorted(maps.Keys(seen)), "; "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
