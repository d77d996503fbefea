package capture

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/benchflag"
	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// load is prepared traffic: ring blocks full of headers of many connections, data one way and
// ACKs the other. Before each pass over the blocks every frame is given to a connection drawn at
// random, and goes on where that connection stands in sequence space and in time, so that no
// packet is a repeat and every record is as likely as any other. ACKs go to connections that have
// something to acknowledge, and acknowledge all of it.
type load struct {
	blocks  [][]byte
	frames  [][]loadFrame // of each block
	packets int
	sent    []uint32 // payload bytes of each connection so far
	acked   []uint32 // of those, the ones that the other side has acknowledged
	holes   []hole   // what of each was lost on its way here and is not sent again yet
	random  *rand.PCG
	now     int64
	gap     int64 // ns between packets
}

// hole is a segment that was lost, at byte of its connection, and how many came since; open: there is one.
type hole struct {
	at, since uint32
	open      bool
}

type loadFrame struct {
	at   int // where in the block its header starts
	data bool
}

const (
	loadPayload = 1400
	loadSnap    = 96   // bytes kept of each frame
	loadGap     = 2000 // ns between packets, 0.5 Mpps, unless -gap is given
	loadBlock   = 1 << 18
	loadMac     = 82 // where tpacket_rcv puts an Ethernet frame

	loadInterface = 2 // index

	repairAfter = 8 // segments of the same connection
)

// connAddrs returns the two ends of connection conn.
func connAddrs(conn int) (client, server netip.AddrPort) {
	c := netip.AddrFrom4([4]byte{10, byte(conn >> 16), byte(conn >> 8), byte(conn)})
	return netip.AddrPortFrom(c, connPort(conn)), netip.MustParseAddrPort("192.0.2.1:443")
}

func connPort(conn int) uint16 { return uint16(20000 + conn%40000) }

// newLoad prepares packets packets of streams/2 connections.
func newLoad(streams, packets int) *load {
	l := &load{
		sent: make([]uint32, streams/2), acked: make([]uint32, streams/2), holes: make([]hole, streams/2),
		random: rand.NewPCG(1, 2), now: 1_700_000_000_000_000_000, gap: benchGap.Nanoseconds(),
	}
	client, server := connAddrs(0)
	l.packets = packets
	frames := make([]fakekernel.Frame, packets)
	isData := make([]bool, packets)
	for i := range frames {
		p := packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 500}
		if isData[i] = l.random.Uint64()&1 == 0 || *benchOneWay; isData[i] {
			p.Src, p.Dst, p.Payload = server, client, loadPayload
		}
		b := p.Ethernet()
		frames[i] = loadFrameOf(b)
	}
	for n := 0; n < packets; {
		mem, used := fakekernel.Block(loadBlock, frames[n:])
		at := fakekernel.BlockHdrLen
		var in []loadFrame
		for i := range used {
			in = append(in, loadFrame{at: at, data: isData[n+i]})
			at += int(binary.NativeEndian.Uint32(mem[at+fakekernel.NextOffset:]))
		}
		l.blocks, l.frames = append(l.blocks, mem), append(l.frames, in)
		n += used
	}
	return l
}

// loadFrameOf returns the Ethernet frame b as it is captured.
func loadFrameOf(b []byte) fakekernel.Frame {
	f := fakekernel.Frame{Data: b[:min(len(b), loadSnap)], WireLen: uint32(len(b)), Hatype: 1, IfIndex: loadInterface}
	if *benchVLAN {
		f.VLANTCI, f.VLANTPID = 10, 0x8100
	}
	return f
}

// advance writes the next pass's traffic into all blocks.
func (l *load) advance() {
	for i := range l.blocks {
		l.fill(i)
	}
}

// fill writes the next traffic into block i, as the kernel does just before it hands it over.
func (l *load) fill(i int) {
	const ip = loadMac + 14
	const tcp = ip + 20
	for f := range l.frames[i] {
		f := &l.frames[i][f]
		mem := l.blocks[i][f.at:]
		conn := int(l.random.Uint64() % uint64(len(l.sent)))
		for tries := 0; !f.data && l.acked[conn] == l.answer(conn) && !l.holes[conn].open && tries < 100; tries++ {
			conn = int(l.random.Uint64() % uint64(len(l.sent)))
		}
		binary.NativeEndian.PutUint32(mem[fakekernel.Sec:], uint32(l.now/1e9))
		binary.NativeEndian.PutUint32(mem[fakekernel.Nsec:], uint32(l.now%1e9))
		l.now += l.gap
		if f.data { // server to client
			binary.BigEndian.PutUint32(mem[ip+16:], 10<<24|uint32(conn))
			binary.BigEndian.PutUint16(mem[tcp+2:], connPort(conn))
			binary.BigEndian.PutUint32(mem[tcp+4:], 1+l.next(conn))
		} else {
			binary.BigEndian.PutUint32(mem[ip+12:], 10<<24|uint32(conn))
			binary.BigEndian.PutUint16(mem[tcp:], connPort(conn))
			l.acked[conn] = l.answer(conn)
			binary.BigEndian.PutUint32(mem[tcp+8:], 1+l.acked[conn])
		}
	}
}

// next returns where the next data segment of connection conn begins: what was lost, if the sender knows of it
// by now, or what follows.
func (l *load) next(conn int) uint32 {
	h := &l.holes[conn]
	if h.open {
		if h.since++; h.since > repairAfter {
			h.open = false
			return h.at
		}
	} else if *benchLoss > 0 && float64(l.random.Uint64()>>11)/(1<<53) < *benchLoss {
		*h = hole{at: l.sent[conn], open: true}
		l.sent[conn] += loadPayload
	}
	at := l.sent[conn]
	l.sent[conn] += loadPayload
	return at
}

// answer returns what connection conn's receiver acknowledges next: all up to what was lost, or to what is to
// stay in flight.
func (l *load) answer(conn int) uint32 {
	if h := &l.holes[conn]; h.open {
		return max(h.at, l.acked[conn])
	}
	kept := uint32(*benchFlight) * loadPayload
	if l.sent[conn] < l.acked[conn]+kept {
		return l.acked[conn]
	}
	return l.sent[conn] - kept
}

// run brings all blocks to at, as if each were walked when its last frame came.
func (l *load) run(at *walk) {
	for i := range l.blocks {
		l.walk(at, i)
	}
}

// walk brings block i to at.
func (l *load) walk(at *walk, i int) {
	b := ring.BlockOf(l.blocks[i])
	at.block(&b, l.now, l.now)
	at.worker.Expire(expireBudget)
}

// timed fills and walks one block after the other and returns the CPU time of the walks alone. A
// block is walked right after it was filled, as in a ring that keeps up with the kernel.
func (l *load) timed(walk func(i int)) (spent time.Duration) {
	for i := range l.blocks {
		l.fill(i)
		start := threadTime()
		walk(i)
		spent += threadTime() - start
	}
	return spent
}

func benchWorker(tb testing.TB, connections int) *walk {
	cfg := worker.Config{MaxConnections: connections, StreamAge: 5 * time.Minute, FinalizedAge: time.Minute, Optional: *benchOptional,
		ByInterface: *benchInterface, ByVLAN: *benchVLAN}
	if *benchGroups > 0 {
		cfg.GroupMax, cfg.Groups = 2**benchGroups, clientGroups(tb, *benchGroups)
	}
	w, err := worker.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close() })
	at := &walk{worker: w}
	if w.ByInterfaceAlone() {
		at.interfaces = NewInterfaces(map[int]int32{loadInterface: 1}, false)
	}
	return at
}

// clientGroups returns n groups that the addresses of connAddrs are spread over, one after the other.
func clientGroups(tb testing.TB, n int) *group.Set {
	var names group.Names
	b := group.NewBuilder(&names, n)
	for g := range n {
		var prefixes []string
		for last := g; last < 256; last += n { // the last byte of an address tells the group, whatever the others are
			for third := range 4 {
				prefixes = append(prefixes, fmt.Sprintf("10.0.%d.%d", third, last))
			}
		}
		if err := b.AddText("benchmark", fmt.Sprintf("clients%d=%s", g, strings.Join(prefixes, ","))); err != nil {
			tb.Fatal(err)
		}
	}
	services, err := group.ParseServices("443")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := b.Build(services, "benchmark")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// open makes at's worker know every stream of the load, one packet each. They are seen where the load's frames are.
func (l *load) open(at *walk) {
	var frames []fakekernel.Frame
	for c := range l.sent {
		client, server := connAddrs(c)
		syn := packet.TCP{Src: client, Dst: server, Seq: 0, Flags: packet.SYN, Window: 500}
		answer := packet.TCP{Src: server, Dst: client, Seq: 0, Ack: 1, Flags: packet.SYN | packet.ACK, Window: 500}
		if !*benchOneWay {
			frames = append(frames, loadFrameOf(syn.Ethernet()))
		}
		frames = append(frames, loadFrameOf(answer.Ethernet()))
	}
	for i := range frames {
		frames[i].Time = l.now
	}
	for n := 0; n < len(frames); {
		mem, used := fakekernel.Block(loadBlock, frames[n:])
		b := ring.BlockOf(mem)
		at.block(&b, l.now, l.now)
		n += used
	}
	at.worker.Expire(0)
}

// threadTime returns the CPU time that this thread has used: unlike the time of day it does not count
// what other processes take.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

var (
	benchOptional  = flag.Bool("optional", false, "BenchmarkWorker counts the optional figures, too")
	benchInterface = flag.Bool("by-interface", false, "BenchmarkWorker tells streams apart by their interface, too")
	benchVLAN      = flag.Bool("by-vlan", false, "prepared traffic has a VLAN tag, and BenchmarkWorker tells streams apart by it, too")
	benchGap       = flag.Duration("gap", loadGap, "time between two packets of prepared traffic")
	benchLoss      = flag.Float64("loss", 0, "share of prepared data segments that are lost before they are captured, and sent again")
	benchFlight    = flag.Int("flight", 0, "prepared data segments that stay in flight when an ACK comes")
	benchGroups    = flag.Int("groups", 0, "BenchmarkWorker sums up connections by so many `groups` of clients, at most 256; 0: by none")
	benchOneWay    = flag.Bool("oneway", false, "prepared traffic has data segments only")
	benchStreams   = benchflag.Counts{1000, 100_000, 1_000_000}
)

func init() {
	flag.Var(&benchStreams, "streams", "`numbers` of streams that BenchmarkWorker runs with, two per connection")
}

// BenchmarkWorker is the whole way of a packet after the kernel: walk, parse, look up, account,
// expire. ns/packet is CPU time without the preparation of the traffic between passes.
func BenchmarkWorker(b *testing.B) {
	for _, streams := range benchStreams {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			l := newLoad(streams, 1<<16)
			at := benchWorker(b, max(streams/2, 1<<18))
			l.open(at)
			var spent time.Duration
			passes := 0
			for b.Loop() {
				spent += l.timed(func(i int) { l.walk(at, i) })
				passes++
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(passes*l.packets), "ns/packet")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(at.worker.Stats().Streams), "streams")
		})
	}
}
