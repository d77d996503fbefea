package e2e

import (
	"bufio"
	"bytes"
	be "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
)

// arrivals is a capture file of streams that come and fall silent, beside others that go on to its end.
// It is divided into steps, whose packets all have times of their own.
type arrivals struct {
	each  int // streams that come in a step, until there are all
	all   int
	again int // steps from a stream's first packet to its second and last one; 0: it has one only

	others int // streams that go on
	rate   int // packets of them in a step, in turn
	length int // steps
}

const (
	fileStep    = 10 * time.Millisecond
	filePayload = 100           // bytes of every packet
	fileBegin   = 1_700_000_000 // s
	fileFrame   = 54            // bytes kept of every frame: its headers
	fileRecord  = 16 + fileFrame
)

// The streams are numbered by their source address, from these on.
var (
	fileCrowd  = netip.MustParseAddr("10.0.0.0")
	fileOthers = netip.MustParseAddr("172.0.0.0")
)

// write writes the file and returns how many packets it holds.
func (a *arrivals) write(to io.Writer) (packets int, err error) {
	w := recordWriter{Writer: bufio.NewWriterSize(to, 1<<20)}
	w.header()
	crowd, others := newRecord(fileCrowd), newRecord(fileOthers)
	for n := range a.length {
		w.at = int64(n) * int64(fileStep)
		w.packetsOf(crowd, n*a.each, min((n+1)*a.each, a.all), 0)
		if before := n - a.again; a.again > 0 && before >= 0 {
			w.packetsOf(crowd, before*a.each, min((before+1)*a.each, a.all), 1)
		}
		for i := n * a.rate; i < (n+1)*a.rate; i++ {
			w.packetsOf(others, i%a.others, i%a.others+1, i/a.others)
		}
	}
	w.at = int64(a.length) * int64(fileStep) // one more, so that it is the end of the last step
	last := a.length * a.rate
	w.packetsOf(others, last%a.others, last%a.others+1, last/a.others)
	return w.packets, w.Flush()
}

// left returns how many streams of one and of two packets there are at the end if those are gone that have
// been silent for age.
func (a *arrivals) left(age time.Duration) (once, twice int) {
	silent := a.length - int(age/fileStep) // who showed a packet in this step or later is there
	for n := range (a.all + a.each - 1) / a.each {
		streams := min((n+1)*a.each, a.all) - n*a.each
		switch {
		case a.again > 0 && n+a.again < a.length:
			if n+a.again >= silent {
				twice += streams
			}
		case n >= silent:
			once += streams
		}
	}
	return once, twice
}

// bytesOf returns the payload of the i-th of the streams that go on.
func (a *arrivals) bytesOf(i int) int {
	return (a.length*a.rate + a.others - i) / a.others * filePayload
}

// recordWriter writes the records of a pcap file.
type recordWriter struct {
	*bufio.Writer       // keeps the first error
	at            int64 // ns, of the packet before
	packets       int
}

func (w *recordWriter) header() {
	var b []byte
	for _, v := range []uint32{0xa1b23c4d, 2 | 4<<16, 0, 0, fileFrame, 1} { // times in ns, version 2.4, Ethernet
		b = be.LittleEndian.AppendUint32(b, v)
	}
	w.Write(b)
}

// newRecord returns a record in which packetsOf changes what differs from packet to packet. first is the
// first of the streams' addresses.
func newRecord(first netip.Addr) []byte {
	p := packet.TCP{
		Src: netip.AddrPortFrom(first, 40000), Dst: netip.MustParseAddrPort("192.0.2.1:443"),
		Flags: packet.ACK, Window: 500, Payload: filePayload,
	}
	frame := p.Ethernet()
	record := be.LittleEndian.AppendUint32(make([]byte, 8, fileRecord), fileFrame)
	record = be.LittleEndian.AppendUint32(record, uint32(len(frame)))
	return append(record, frame[:fileFrame]...)
}

// packetsOf writes a packet of each of the streams from to upTo-1, the number-th after their first.
func (w *recordWriter) packetsOf(record []byte, from, upTo, number int) {
	const source, seq = 16 + 14 + 12, 16 + 14 + 20 + 4
	for i := from; i < upTo; i++ {
		w.at += 1000
		be.LittleEndian.PutUint32(record[0:], uint32(fileBegin+w.at/1e9))
		be.LittleEndian.PutUint32(record[4:], uint32(w.at%1e9))
		be.BigEndian.PutUint32(record[source:], uint32(record[source])<<24|uint32(i))
		be.BigEndian.PutUint32(record[seq:], uint32(1+number*filePayload))
		w.Write(record)
		w.packets++
	}
}

// expiryFiles returns the files of TestExpiryOfFile.
func expiryFiles() []expiryFile {
	// Half a million streams there are at any time, until five million have been there.
	passing := expiryFile{
		name:     "streams come and go all the time",
		arrivals: arrivals{each: 500, all: 5_000_000, again: 400, others: 1000, rate: 1500, length: 10_000},
		room:     600_000, age: 6 * time.Second, memory: 390e6,
	}
	together := expiryFile{
		name:     "all streams are there together, then go",
		arrivals: arrivals{each: 2500, all: 5_000_000, others: 1000, rate: 1500, length: 6000},
		room:     6_000_000, age: 30 * time.Second, memory: 3820e6,
	}
	if !*expiryLong {
		passing.shrink(20, 75e6)
		together.shrink(20, 250e6)
	}
	return []expiryFile{passing, together}
}

type expiryFile struct {
	name string
	arrivals
	room   int
	age    time.Duration
	memory int64 // bytes, resident at most
}

// shrink leaves one of so many of everything but the time.
func (f *expiryFile) shrink(by int, memory int64) {
	f.each, f.all, f.others, f.rate, f.room, f.memory = f.each/by, f.all/by, f.others/by, f.rate/by, f.room/by, memory
}

// Five million streams of a file expire by the file's own time: every packet finds room in a table
// that is hardly larger than what there is at any time, exactly the right streams are left at the end, each
// with its exact figures, and the memory is that of the streams. The file goes through a pipe.
func TestExpiryOfFile(t *testing.T) {
	for _, f := range expiryFiles() {
		t.Run(f.name, func(t *testing.T) { f.test(t) })
	}
}

func (f *expiryFile) test(t *testing.T) {
	cmd := exec.Command(binary(t), "-read", "-", "-max-connections", strconv.Itoa(f.room),
		"-stream-age", f.age.String(), "-finalized-age", f.age.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := watchPeak(cmd.Process.Pid)
	var packets int
	written := make(chan error, 1)
	go func() {
		n, err := f.write(in)
		packets = n
		written <- errors.Join(err, in.Close())
	}()
	got, size, scanErr := f.scan(out)
	if scanErr != nil {
		cmd.Process.Kill()
	}
	err = errors.Join(<-written, scanErr, cmd.Wait())
	resident := peak()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	once, twice := f.left(f.age)
	report := fileRead.FindStringSubmatch(said.String())
	if want := []string{strconv.Itoa(packets), strconv.Itoa(packets), strconv.Itoa(once + twice + f.others)}; report == nil || !slices.Equal(report[1:4], want) {
		t.Fatalf("it says %q, want %v packets, packets accounted and streams, and nothing without room", said.String(), want)
	}
	if want := (fileLeft{once: once, twice: twice, others: f.others}); got != want {
		t.Errorf("there are %+v, want %+v", got, want)
	}
	if resident > f.memory {
		t.Errorf("%d bytes were resident, want at most %d", resident, f.memory)
	}
	t.Logf("%d packets of %d streams and %d others in a table of %d; %d streams left (%.0f MB of metrics); %s; resident memory at most %.1f MB",
		packets, f.all, f.others, f.room, once+twice+f.others, float64(size)/1e6, report[4], float64(resident)/1e6)
}

var fileRead = regexp.MustCompile(`^tcp-stream-exporter: standard input: (\d+) packets, (\d+) accounted; (\d+) streams(?:, \d+ more aged out)?; (.*)\n$`)

// fileLeft holds the counts that the exporter prints: streams that came with one packet and with two, and others
// whose bytes are right; wrong are figures that must not be.
type fileLeft struct{ once, twice, others, wrong int }

// scan reads the exporter's metrics, of which there are many: line by line, without a parser.
func (f *expiryFile) scan(from io.Reader) (left fileLeft, size int64, err error) {
	now := time.Now()
	answer := new(lab.Checker).Answer(now, now)
	lines := bufio.NewScanner(io.TeeReader(from, answer))
	for lines.Scan() {
		line := lines.Bytes()
		size += int64(len(line)) + 1
		name, rest, _ := bytes.Cut(line, []byte("{"))
		labels, value, _ := bytes.Cut(rest, []byte("} "))
		switch string(name) {
		case "tcp_retransmits_total", "tcp_sequence_gaps_total", "tcp_out_of_order_packets_total":
			if string(value) != "0" {
				left.wrong++
			}
		case "tcp_bytes_transferred_total":
			_, address, _ := bytes.Cut(labels, []byte(`src_ip="`))
			address, _, _ = bytes.Cut(address, []byte(`"`))
			n, err := strconv.Atoi(string(value))
			if err != nil {
				return left, size, err
			}
			f.count(&left, string(address), n)
		}
	}
	return left, size, errors.Join(lines.Err(), answer.Close())
}

// count notes a stream from address with so many bytes.
func (f *expiryFile) count(left *fileLeft, address string, bytes int) {
	from, err := netip.ParseAddr(address)
	if err != nil {
		left.wrong++
		return
	}
	ip := from.As4()
	i := int(ip[1])<<16 | int(ip[2])<<8 | int(ip[3])
	switch {
	case ip[0] == fileOthers.As4()[0] && bytes == f.bytesOf(i):
		left.others++
	case ip[0] == fileCrowd.As4()[0] && bytes == filePayload:
		left.once++
	case ip[0] == fileCrowd.As4()[0] && bytes == 2*filePayload:
		left.twice++
	default:
		left.wrong++
	}
}

// watchPeak looks at a process until it ends, and returns a function that then returns its largest
// resident memory in bytes. wait4(2)'s figure includes the process that it was forked from.
func watchPeak(pid int) (peak func() int64) {
	most := make(chan int64, 1)
	go func() {
		last := int64(0)
		for {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
			_, field, found := strings.Cut(string(text), "VmHWM:")
			if err != nil || !found { // a process that has ended has no memory
				most <- last
				return
			}
			fmt.Sscan(field, &last)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int64 { return <-most << 10 }
}
