package netpath

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/internal/need"
)

const device, senderAddr, receiverAddr, prefix = "tun0", "192.0.2.1", "192.0.2.2", "/24"

// start makes a path and a UDP socket at either end.
func start(t *testing.T, c Config) (p *Path, a, b *net.UDPConn) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	need.File(t, "/dev/net/tun")
	pair, err := lab.NewApart()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pair.Close(); err != nil {
			t.Error(err)
		}
	})
	open := func(e lab.End, addr string) (fd int, conn *net.UDPConn) {
		fd, err := e.Tun(device, addr+prefix)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Do(func() (err error) {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr), Port: 9})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return fd, conn
	}
	senderTun, a := open(pair.A, senderAddr)
	receiverTun, b := open(pair.B, receiverAddr)
	if p, err = Start(senderTun, receiverTun, c); err != nil {
		t.Fatal(err)
	}
	return p, a, b
}

func stop(t *testing.T, p *Path) Lateness {
	t.Helper()
	_, late, err := p.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return late
}

// send sends numbered packets in pairs, as close as they get.
func send(t *testing.T, a, b *net.UDPConn, n int, pause time.Duration) {
	t.Helper()
	for i := range n {
		if i%2 == 0 {
			time.Sleep(pause)
		}
		if _, err := a.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(i)), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
}

// receive collects the numbers that arrive until none does for silence.
func receive(t *testing.T, b *net.UDPConn) (got <-chan []uint32) {
	all := make(chan []uint32, 1)
	go func() {
		var numbers []uint32
		var buf [4]byte
		for {
			b.SetReadDeadline(time.Now().Add(silence))
			_, _, err := b.ReadFrom(buf[:])
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				all <- numbers
				return
			}
			numbers = append(numbers, binary.BigEndian.Uint32(buf[:]))
		}
	}()
	return all
}

const silence = 300 * time.Millisecond

func TestDelayIsKept(t *testing.T) {
	const each, rounds = 100 * time.Microsecond, 400
	p, a, b := start(t, Config{Before: Half{Delay: each}, Behind: Half{Delay: each}})
	go func() { // echo
		var buf [4]byte
		for {
			n, from, err := b.ReadFrom(buf[:])
			if err != nil {
				return
			}
			b.WriteTo(buf[:n], from)
		}
	}()
	var trips []time.Duration
	var buf [4]byte
	for range rounds {
		time.Sleep(time.Millisecond)
		begin := time.Now()
		if _, err := a.WriteTo(buf[:], b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		a.SetReadDeadline(begin.Add(time.Second))
		if _, err := a.Read(buf[:]); err != nil {
			t.Fatal(err)
		}
		trips = append(trips, time.Since(begin))
	}
	late := stop(t, p)
	slices.Sort(trips)
	t.Logf("round trips over a path of 400µs: least %v, median %v, 99%% %v; late: half %v, 99%% %v, at most %v",
		trips[0], trips[rounds/2], trips[rounds*99/100], late.Share(0.5), late.Share(0.99), late.Max)
	if trips[0] < 4*each {
		t.Errorf("a round trip took %v, less than the path's %v", trips[0], 4*each)
	}
	// The programs at the ends must wake up too, on a machine that may be busy. A clockwork of whole
	// milliseconds would take 4 ms.
	if trips[rounds/2] > 4*each+2*time.Millisecond {
		t.Errorf("the median round trip took %v on a path of %v", trips[rounds/2], 4*each)
	}
}

func TestOrderIsKept(t *testing.T) {
	const n = 2000
	p, a, b := start(t, Config{Before: Half{Delay: 200 * time.Microsecond}, Behind: Half{Delay: 3 * time.Millisecond}})
	arriving := receive(t, b)
	send(t, a, b, n, 50*time.Microsecond)
	got := <-arriving
	stop(t, p)
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d packets arrived, in order: %v; want %d in order", len(got), slices.IsSorted(got), n)
	}
}

func TestLossAndReorderingAreWhatIsAsked(t *testing.T) {
	const n = 4000
	p, a, b := start(t, Config{Before: Half{Loss: 0.1}, Behind: Half{Loss: 0.1, Delay: time.Millisecond}, Held: 0.05, HeldBy: time.Millisecond})
	arriving := receive(t, b)
	send(t, a, b, n, 50*time.Microsecond)
	got := <-arriving
	truth, _, err := p.Stop()
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for i := 1; i < len(got); i++ {
		if got[i] < slices.Max(got[:i]) {
			late++
		}
	}
	t.Logf("%d of %d packets arrived, %d after a later one; lost %d + %d", len(got), n, late, truth.LostBefore, truth.LostBehind)
	if lost := truth.LostBefore + truth.LostBehind; uint64(len(got))+lost != n {
		t.Errorf("%d arrived and %d were lost of %d", len(got), lost, n)
	}
	if truth.LostBefore < n*8/100 || truth.LostBefore > n*12/100 || truth.LostBehind < n*7/100 || truth.LostBehind > n*11/100 {
		t.Errorf("lost %d + %d of %d packets, want about 400 + 360", truth.LostBefore, truth.LostBehind, n)
	}
	if late < n/100 || late > n*5/100 {
		t.Errorf("%d packets were late, want 40 to 200: 5%% were held back, and not all of them for long enough", late)
	}
}

func TestBottleneckDelaysAndDrops(t *testing.T) {
	// 100 packets of 32 bytes at 0.256 Mbit/s take 1 ms each; the queue holds 50 ms.
	p, a, b := start(t, Config{Mbits: 0.256, Queue: 50 * time.Millisecond})
	begin := time.Now()
	arriving := receive(t, b)
	send(t, a, b, 100, 0)
	got := <-arriving
	took := time.Since(begin) - silence
	truth, _, err := p.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 50 || len(got) > 60 || uint64(100-len(got)) != truth.QueueDrops {
		t.Errorf("%d packets arrived, %d were dropped; want 50 to 60 of 100 and the others", len(got), truth.QueueDrops)
	}
	if took < 45*time.Millisecond {
		t.Errorf("the last came after %v, want 50 ms or more", took)
	}
}
