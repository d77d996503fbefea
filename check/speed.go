package check

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"time"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

const (
	fewConnections  = 1_000
	manyConnections = 100_000
	// speedTime is how long the blocks of each number of connections are accounted.
	speedTime = 250 * time.Millisecond

	blockBytes  = 1 << 18
	blocks      = 8
	payload     = 1400 // bytes of a data segment
	packetGap   = 2000 // ns between two packets
	headerBytes = 14 + 20 + 32
)

// Where things stand in a block of TPACKET_V3: struct tpacket_block_desc with tpacket_hdr_v1, then for each frame struct
// tpacket3_hdr, struct sockaddr_ll and the bytes, where tpacket_rcv puts those of Ethernet (linux/if_packet.h,
// net/packet/af_packet.c of Linux 6.6). In host byte order.
const (
	blockHeader  = 48
	blockVersion = 0
	blockStatus  = 8
	blockPackets = 12
	blockFirst   = 16
	blockLen     = 20

	frameNext    = 0
	frameSec     = 4
	frameNsec    = 8
	frameSnapLen = 12
	frameLen     = 16
	frameStatus  = 20
	frameMac     = 24
	frameIndex   = 52
	frameHatype  = 56
	macOffset    = 82
	frameStride  = (macOffset + headerBytes + 7) &^ 7

	ipAt           = macOffset + 14
	tcpAt          = ipAt + 20
	framesPerBlock = (blockBytes - blockHeader) / frameStride
)

// load is traffic that is written into blocks as the kernel does: data one way and ACKs the other, of connections drawn at
// random, each of which goes on where it stands. No packet is a repeat.
type load struct {
	blocks [blocks][]byte
	sent   []uint32 // payload bytes of each connection so far
	acked  []uint32 // of those, the ones that are acknowledged
	random *rand.PCG
	now    int64 // ns since the epoch
}

func newLoad(connections int, now int64) *load {
	l := &load{sent: make([]uint32, connections), acked: make([]uint32, connections), random: rand.NewPCG(1, 2), now: now}
	for n := range l.blocks {
		b := make([]byte, blockBytes)
		put := binary.NativeEndian.PutUint32
		put(b[blockVersion:], 2)
		put(b[blockStatus:], 1) // TP_STATUS_USER
		put(b[blockPackets:], framesPerBlock)
		put(b[blockFirst:], blockHeader)
		put(b[blockLen:], blockHeader+framesPerBlock*frameStride)
		for i := range framesPerBlock {
			f := b[blockHeader+i*frameStride:]
			if i+1 < framesPerBlock {
				put(f[frameNext:], frameStride)
			}
			put(f[frameSnapLen:], headerBytes)
			put(f[frameStatus:], 1)
			binary.NativeEndian.PutUint16(f[frameMac:], macOffset)
			put(f[frameIndex:], capture.PreparedIndex)
			binary.NativeEndian.PutUint16(f[frameHatype:], 1) // ARPHRD_ETHER
			copy(f[macOffset:], template[:])
		}
		l.blocks[n] = b
	}
	return l
}

// template holds the headers of a segment with timestamps, whose addresses, numbers and lengths are written over it.
var template = [headerBytes]byte{
	12: 0x08, 0x00, // IPv4
	14: 0x45,       // v4, IHL 5
	20: 0x40,       // DF
	22: 64,         // TTL
	23: 6,          // TCP
	46: 0x80,       // data offset 8
	47: 0x10,       // ACK
	48: 0x02, 0x00, // window
	54: 1, 1, 8, 10, // NOP, NOP, timestamps
}

// segment writes one segment of a connection at b, where its Ethernet header starts: from the server with bytes of
// payload, or from the client without.
func segment(b []byte, connection int, fromServer bool, bytes int, flags byte, seq, ack uint32, ms uint32) {
	const (
		server     = 192<<24 | 2<<8 | 1 // 192.0.2.1
		serverPort = 443
	)
	client, clientPort := uint32(10<<24|connection), uint16(20_000+connection%40_000)
	ip, tcp := b[14:], b[34:]
	src, dst, srcPort, dstPort := client, uint32(server), clientPort, uint16(serverPort)
	if fromServer {
		src, dst, srcPort, dstPort = dst, src, dstPort, srcPort
	}
	put := binary.BigEndian.PutUint32
	binary.BigEndian.PutUint16(ip[2:], uint16(20+32+bytes))
	put(ip[12:], src)
	put(ip[16:], dst)
	binary.BigEndian.PutUint16(tcp[0:], srcPort)
	binary.BigEndian.PutUint16(tcp[2:], dstPort)
	put(tcp[4:], seq)
	put(tcp[8:], ack)
	tcp[13] = flags
	put(tcp[24:], ms)
	put(tcp[28:], ms)
}

// open makes w know every connection, by its SYN and the answer to it.
func (l *load) open(w *worker.Worker) {
	const syn, ack = 0x02, 0x10
	frame := template
	for c := range l.sent {
		segment(frame[:], c, false, 0, syn, 0, 0, l.ms())
		w.Frame(parse.LinkEthernet, frame[:], headerBytes, l.now)
		segment(frame[:], c, true, 0, syn|ack, 0, 1, l.ms())
		w.Frame(parse.LinkEthernet, frame[:], headerBytes, l.now)
	}
	w.Expire(0)
}

// ms is the senders' clock.
func (l *load) ms() uint32 { return uint32(l.now / 1e6) }

// fill writes the next traffic into block n.
func (l *load) fill(n int) {
	const ack = 0x10
	connections := uint64(len(l.sent))
	for i := range framesPerBlock {
		f := l.blocks[n][blockHeader+i*frameStride:]
		binary.NativeEndian.PutUint32(f[frameSec:], uint32(l.now/1e9))
		binary.NativeEndian.PutUint32(f[frameNsec:], uint32(l.now%1e9))
		l.now += packetGap
		r := l.random.Uint64()
		c := int(r >> 1 % connections)
		bytes := 0
		if r&1 == 0 || l.acked[c] == l.sent[c] {
			bytes = payload
			segment(f[macOffset:], c, true, bytes, ack, 1+l.sent[c], 1, l.ms())
			l.sent[c] += payload
		} else {
			l.acked[c] = l.sent[c]
			segment(f[macOffset:], c, false, 0, ack, 1, 1+l.acked[c], l.ms())
		}
		binary.NativeEndian.PutUint32(f[frameLen:], uint32(headerBytes+bytes))
	}
}

// speed is what one packet costs this processor after the kernel has handed it over.
type speed struct {
	connections int
	nanos       float64
}

var errNoThreadTime = errors.New("the kernel does not tell the thread's processor time")

// measureSpeed accounts prepared blocks of so many connections with a worker of its own for d. It counts the thread's
// processor time, without that of preparing: what others use of the machine meanwhile does not count, but that they use
// its caches does.
func measureSpeed(newWorker func(connections int) (*worker.Worker, error), connections int, d time.Duration) (speed, error) {
	w, err := newWorker(connections)
	if err != nil {
		return speed{}, err
	}
	defer w.Close()
	type result struct {
		spent   int64
		packets int
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		l := newLoad(connections, time.Now().UnixNano())
		l.open(w)
		p := capture.NewPrepared(w)
		var r result
		begin := time.Now()
		for pass := 0; pass < 2 || time.Since(begin) < d; pass++ {
			for n := range l.blocks {
				l.fill(n)
				start := ring.ThreadTime()
				p.Block(ring.BlockOf(l.blocks[n]), l.now)
				if pass > 0 { // the first finds nothing in the caches
					r.spent += ring.ThreadTime() - start
					r.packets += framesPerBlock
				}
			}
		}
		done <- r
	}()
	r := <-done
	if r.spent <= 0 {
		return speed{}, errNoThreadTime
	}
	return speed{connections, float64(r.spent) / float64(r.packets)}, nil
}

// speeds measures few connections and many, as far as the memory goes: an eighth of what is available.
func speeds(c *Config, m *machine) ([]speed, error) {
	most := manyConnections
	if left, ok := m.memoryFor(c.ringBytes()); ok {
		most = int(min(uint64(most), left/8/max(c.ConnectionBytes, 1)))
	}
	var all []speed
	for _, n := range []int{fewConnections, most} {
		if n < 1 || len(all) > 0 && n <= all[0].connections {
			continue
		}
		s, err := measureSpeed(c.NewWorker, n, speedTime)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}
