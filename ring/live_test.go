package ring

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	fk "tcp-stream-exporter/internal/fakekernel"
)

func TestFramesArriveWhole(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, cap0))
	s := newSender(t, gen0)
	var sent [][]byte
	var got []seen
	last := time.Now().UnixNano()
	for i := range 200 { // several times around the ring
		sent = append(sent, numbered(i, 60+i*7))
		s.send(t, sent[i])
		if i%20 == 19 {
			got = append(got, collect(t, r, 20, 0)...)
		}
	}
	if len(got) != len(sent) {
		t.Fatalf("%d frames, want %d", len(got), len(sent))
	}
	end := time.Now().UnixNano()
	for i, f := range got {
		if !bytes.Equal(f.Data, sent[i]) {
			t.Fatalf("frame %d: % x\nwant % x", i, f.Data, sent[i])
		}
		if f.WireLen != uint32(len(sent[i])) {
			t.Errorf("frame %d: WireLen %d, want %d", i, f.WireLen, len(sent[i]))
		}
		if f.Time < last || f.Time > end {
			t.Errorf("frame %d: Time %d, want %d to %d", i, f.Time, last, end)
		}
		last = f.Time
		if f.Hatype != unix.ARPHRD_ETHER || int(f.IfIndex) != cap0 || f.PktType != unix.PACKET_OTHERHOST {
			t.Errorf("frame %d: Hatype %d, IfIndex %d, PktType %d; want 1, %d, 3", i, f.Hatype, f.IfIndex, f.PktType, cap0)
		}
		if f.Status&(StatusVLANValid|StatusVLANTPIDValid) != 0 {
			t.Errorf("frame %d: Status %#x speaks of a VLAN tag", i, f.Status)
		}
	}
}

func TestOuterVLANTagComesOutOfBand(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, cap0))
	plain := numbered(1, 100)
	tagged := append(append([]byte(nil), plain[:12]...), 0x88, 0xa8, 0xa0, 0x64) // 802.1ad, priority 5, VLAN 100
	tagged = append(tagged, plain[12:]...)
	newSender(t, gen0).send(t, tagged)
	f := collect(t, r, 1, 0)[0]
	if !bytes.Equal(f.Data, plain) {
		t.Errorf("data % x, want % x", f.Data, plain)
	}
	if f.VLANTCI != 0xa064 || f.VLANTPID != 0x88a8 || f.Status&StatusVLANValid == 0 || f.Status&StatusVLANTPIDValid == 0 {
		t.Errorf("tag %#x %#x, status %#x; want 0xa064 0x88a8, both valid", f.VLANTCI, f.VLANTPID, f.Status)
	}
}

func TestFilterValueIsTheSnapLength(t *testing.T) {
	cap0, gen0 := veth(t)
	c := small(t, cap0)
	c.Filter = onlyTestFrames(t, 96)
	r := mustOpen(t, c)
	s := newSender(t, gen0)
	sizes := []int{60, 95, 96, 97, 1514}
	for i, n := range sizes {
		s.send(t, numbered(i, n))
	}
	for i, f := range collect(t, r, len(sizes), 0) {
		if want := numbered(i, sizes[i])[:min(96, sizes[i])]; !bytes.Equal(f.Data, want) {
			t.Errorf("frame of %d bytes: captured % x, want % x", sizes[i], f.Data, want)
		}
		if int(f.WireLen) != sizes[i] {
			t.Errorf("frame of %d bytes: WireLen %d", sizes[i], f.WireLen)
		}
	}
}

// Frames fly all the while that the ring is opened. None that the filter rejects may be in it or be
// counted.
func TestFilterIsOnFromTheFirstFrame(t *testing.T) {
	cap0, gen0 := veth(t)
	s := newSender(t, gen0)
	c := small(t, cap0)
	c.Filter = assemble(t, // the number's lowest bit: even frames pass
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: testEtherType, SkipFalse: 3},
		bpf.LoadAbsolute{Off: 17, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	)
	stop, stopped := make(chan struct{}), make(chan int)
	go func() { // odd frames only; the socket is in the namespace, whatever thread sends
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			_ = unix.Sendto(s.fd, numbered(1, 60), 0, &unix.SockaddrLinklayer{Ifindex: s.ifIndex, Halen: 6})
		}
	}()
	time.Sleep(5 * time.Millisecond)
	var rings []*Ring
	for range 5 {
		rings = append(rings, mustOpen(t, c))
	}
	close(stop)
	if n := <-stopped; n == 0 {
		t.Fatal("nothing was sent while the rings were opened")
	}
	s.send(t, numbered(2, 60))
	for _, r := range rings {
		if got := collect(t, r, 1, 0); len(got) != 1 || numberOf(got[0]) != 2 {
			t.Errorf("first of %d frames is number %d, want the one with number 2", len(got), numberOf(got[0]))
		}
		if st, err := r.Stats(); err != nil || st != (Stats{Packets: 1}) {
			t.Errorf("statistics %+v, %v; want 1 packet", st, err)
		}
	}
}

func TestLoopbackSeesEachFrameOnce(t *testing.T) {
	netns(t)
	ip(t, "link set lo up")
	lo := ifIndex(t, "lo")
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(fd, to); err != nil { // to itself, so that no ICMP error comes back
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		ignore bool
		want   map[uint8]int // frames by PktType
	}{
		{"with IgnoreOutgoing as they come in", true, map[uint8]int{unix.PACKET_HOST: 10}},
		{"without it a second time as they go out", false, map[uint8]int{unix.PACKET_HOST: 10, unix.PACKET_OUTGOING: 10}},
	} {
		c := small(t, lo)
		c.IgnoreOutgoing = tt.ignore
		c.Filter = nil // whole frames
		r := mustOpen(t, c)
		for range 10 {
			if err := unix.Sendto(fd, []byte("0123456789"), 0, sa); err != nil {
				t.Fatal(err)
			}
		}
		got := map[uint8]int{}
		for _, f := range collect(t, r, -1, 60*time.Millisecond) {
			got[f.PktType]++
			if f.Hatype != unix.ARPHRD_LOOPBACK || f.WireLen != 14+20+8+10 || len(f.Data) != 14+20+8+10 {
				t.Errorf("%s: Hatype %d, %d of %d bytes; want 772, 52 of 52", tt.name, f.Hatype, len(f.Data), f.WireLen)
			}
		}
		if got[unix.PACKET_HOST] != tt.want[unix.PACKET_HOST] || got[unix.PACKET_OUTGOING] != tt.want[unix.PACKET_OUTGOING] || len(got) != len(tt.want) {
			t.Errorf("%s: frames by packet type %v, want %v", tt.name, got, tt.want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestIndexZeroCapturesOnAllInterfaces(t *testing.T) {
	cap0, gen0 := veth(t)
	r := mustOpen(t, small(t, 0))
	if i, err := r.IfIndex(); i != 0 || err != nil {
		t.Errorf("IfIndex %d, %v; want 0", i, err)
	}
	newSender(t, gen0).send(t, numbered(1, 60))
	got := collect(t, r, 2, 0)
	if int(got[0].IfIndex) != gen0 || got[0].PktType != unix.PACKET_OUTGOING ||
		int(got[1].IfIndex) != cap0 || got[1].PktType == unix.PACKET_OUTGOING {
		t.Errorf("interfaces %d, %d with packet types %d, %d; want %d going out, then %d",
			got[0].IfIndex, got[1].IfIndex, got[0].PktType, got[1].PktType, gen0, cap0)
	}
}

// The bytes of a block of the kernel's and of the fake kernel's for the same frames are the same,
// but for what the kernel leaves unwritten.
func TestFakeKernelWritesWhatTheKernelWrites(t *testing.T) {
	cap0, gen0 := veth(t)
	c := small(t, cap0)
	c.RetireTov = 100 * time.Millisecond // so that one block takes all
	r := mustOpen(t, c)
	tagged := append(append([]byte(nil), numbered(9, 70)[:12]...), 0x81, 0x00, 0x20, 0x07)
	tagged = append(tagged, numbered(9, 70)[12:]...)
	newSender(t, gen0).send(t, numbered(1, 60), numbered(2, 1514), tagged, numbered(3, 99), numbered(4, 64))

	seq := uint64(0)
	for n := 0; n < 5; r.Release() { // the timer may have closed the first block early
		var b Block
		ok := false
		eventually(t, "a block", func() bool { b, ok = r.Next(); return ok })
		real := bytes.Clone(r.mem[r.cur : r.cur+r.blockSize])
		var fs []fk.Frame
		var f seen
		for b.next(&f) {
			// Status is left out: the fake kernel knows TP_STATUS_USER and the VLAN bits by itself.
			fs = append(fs, fk.Frame{Data: bytes.Clone(f.Data), WireLen: f.WireLen, Time: f.Time,
				Status: f.Status &^ (tpStatusUser | StatusVLANValid | StatusVLANTPIDValid), VLANTCI: f.VLANTCI, VLANTPID: f.VLANTPID,
				Hatype: f.Hatype, PktType: f.PktType, IfIndex: f.IfIndex})
		}
		if b.Bad() || len(fs) == 0 {
			t.Fatalf("a block of %d frames, bad %v", len(fs), b.Bad())
		}
		n += len(fs)
		fake, used := fk.Block(c.BlockSize, fs)
		if used != len(fs) {
			t.Fatalf("the fake kernel put %d of %d frames into a block of the same size", used, len(fs))
		}
		// Not the fake kernel's to know: how the block was closed and its number.
		seq++
		fk.PutU32(fake, fk.BlockStatus, tpStatusUser|tpStatusBlkTmo)
		fk.PutU64(fake, fk.SeqNum, binary.NativeEndian.Uint64(real[fk.SeqNum:]))
		// The block opens before the first frame comes, and may be opened long before.
		copy(fake[fk.TsFirstSec:fk.TsFirstSec+8], real[fk.TsFirstSec:])
		// Unwritten by the kernel: the gap between sockaddr_ll and the data, the last bytes of
		// sll_addr, and the padding behind a frame.
		for i := range fs {
			at := fk.FrameAt(fake, i)
			end := at + 82 + len(fs[i].Data)
			clear(real[at+fk.SllAddr+6 : at+82])
			clear(real[end : (end+7)&^7])
		}
		end := fk.U32(fake, fk.BlkLen)
		if !bytes.Equal(real[:end], fake[:end]) {
			for i := range end {
				if real[i] != fake[i] {
					t.Errorf("byte %d is %#02x, the fake kernel's %#02x", i, real[i], fake[i])
				}
			}
		}
	}
}
