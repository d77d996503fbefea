package check

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/ring"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.1:443")
)

func udp() []byte {
	return packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(53, make([]byte, 40))))
}

// tcpFilter is what the exporter compiles for "tcp".
func tcpFilter(t *testing.T) []bpf.RawInstruction {
	t.Helper()
	prog, err := pcapfilter.CompileLive("tcp", pcapfilter.EN10MB, 192)
	if err != nil {
		t.Fatal(err)
	}
	return pcapfilter.HeadersOnly(prog, pcapfilter.EN10MB)
}

// TestSampling: of each packet one of the two programs takes the first bytes, and the other one none.
func TestSampling(t *testing.T) {
	run := func(prog []bpf.RawInstruction, b []byte) int {
		instructions, known := bpf.Disassemble(prog)
		if !known {
			t.Fatal("unknown instructions")
		}
		vm, err := bpf.NewVM(instructions)
		if err != nil {
			t.Fatal(err)
		}
		n, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const all = 1 << 32
	tcp := packet.TCP{Src: client, Dst: server, Payload: 300}
	for _, c := range []struct {
		says   string
		filter []bpf.RawInstruction
		frame  []byte
		passes bool
	}{
		{"TCP", tcpFilter(t), tcp.Ethernet(), true},
		{"TCP behind a tag", tcpFilter(t), tcp.Ethernet(0x8100_0005), true},
		{"UDP", tcpFilter(t), udp(), false},
		{"ARP", tcpFilter(t), packet.InEthernet(0x0806, make([]byte, 46)), false},
		{"UDP without a filter", nil, udp(), true},
		{"anything with a filter that takes nothing", ring.RejectAll, udp(), false},
		{"a filter that returns a length", []bpf.RawInstruction{{Op: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN}, {Op: unix.BPF_RET | unix.BPF_A}}, udp(), true},
	} {
		for _, passing := range []bool{true, false} {
			want := 0
			if passing == c.passes {
				want = min(60, len(c.frame))
			}
			if got := min(run(sampling(c.filter, passing, all, 60), c.frame), len(c.frame)); got != want {
				t.Errorf("%s, passing %v: %d bytes, want %d", c.says, passing, got, want)
			}
		}
	}
}

// TestLooksOfTheKernel: the kernel draws the packets, and what one of the sample stands for is what passed. A line with
// more than the bound is looked at until there are enough.
func TestLooksOfTheKernel(t *testing.T) {
	l := lab.New(t)
	const tcps, udps, most = 6000, 2000, 500
	var looks []*look
	if err := l.A.Do(func() error {
		i, err := netif.Find(lab.IfName)
		for _, passing := range []bool{true, false} {
			if err != nil {
				return err
			}
			var k *look
			if k, err = openLook(ring.Config{IfIndex: i.Index, Filter: tcpFilter(t)}, passing); err == nil {
				t.Cleanup(func() { k.ring.Close() })
				looks = append(looks, k)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	segment := packet.TCP{Src: client, Dst: server, Payload: 100}.Ethernet()
	send := func() {
		if err := l.B.Do(func() error { return sendAll(segment, tcps, udp(), udps) }); err != nil {
			t.Fatal(err)
		}
	}
	// Gauged on a silent line, then set as if it had carried 80,000 packets/s: one of 8 is drawn.
	for n, k := range looks {
		before, _ := k.ring.Stats()
		if err := k.gauge(time.Second, time.Now(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if k.chance != 1 || before.Packets > 100 {
			t.Errorf("look %d: chance %v after %d packets: on a silent line everything is looked at", n, k.chance, before.Packets)
		}
		k.chance = 1.0 / 8
		if err := k.ring.SetFilter(sampling(k.filter, k.passing, 1<<29, lookSnapLen)); err != nil {
			t.Fatal(err)
		}
	}
	send()
	deadline := time.Now().Add(10 * time.Second)
	taken := [2]int{}
	for n, sent := range []float64{tcps, udps} {
		k := looks[n]
		// The kernel's count has those too that have not come to the end of a block.
		var drawn float64
		for drawn = 0; drawn == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			s, _ := k.ring.Stats()
			drawn = float64(s.Packets)
		}
		// 8 standard deviations of a binomial distribution.
		if mean := sent / 8; drawn < mean-8*28 || drawn > mean+8*28 {
			t.Errorf("look %d: %v of %v packets, want about %v", n, drawn, sent, mean)
		}
		for ; taken[n] < min(int(drawn), most) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			k.collect(most, func(f ring.Frame) {
				taken[n]++
				if len(f.Data) > lookSnapLen {
					t.Errorf("look %d: %d bytes", n, len(f.Data))
				}
			})
		}
	}
	if taken[0] != most || !looks[0].full {
		t.Errorf("%d packets are taken, full %v; want %d and no more", taken[0], looks[0].full, most)
	}
	if looks[1].full || taken[1] >= most {
		t.Errorf("the other one has %d, full %v", taken[1], looks[1].full)
	}
	before, _ := looks[0].ring.Stats()
	send()
	time.Sleep(50 * time.Millisecond)
	if after, _ := looks[0].ring.Stats(); after != before {
		t.Errorf("a look that has enough goes on: %d packets, then %d", before.Packets, after.Packets)
	}
}

// sendAll sends two kinds of frames out of veth0, in the thread's namespace.
func sendAll(a []byte, na int, b []byte, nb int) error {
	i, err := netif.Find(lab.IfName)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6}
	for n := range na + nb {
		frame := a
		if n >= na {
			frame = b
		}
		for {
			if err = unix.Sendto(fd, frame, 0, to); err != unix.ENOBUFS {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			return err
		}
		if n%200 == 199 {
			time.Sleep(time.Millisecond) // the backlog of the receiving CPU has 1000 places
		}
	}
	return nil
}
