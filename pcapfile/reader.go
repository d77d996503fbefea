package pcapfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"tcp-stream-exporter/parse"
)

// Packet holds one packet of a file.
type Packet struct {
	Link    parse.Link // header that Data starts with, by DLT
	DLT     uint32     // link type number, LINKTYPE_ registry
	Data    []byte     // the captured bytes: valid until the next call of Next
	WireLen uint32     // length on the wire in bytes, at least len(Data)
	// Time is when the packet was captured, in ns since the epoch. A simple packet block has no time, and
	// gets that of the packet before it.
	Time int64
}

const (
	// maxPacketLen is the longest packet in bytes. The largest super-packet that Linux hands to a packet
	// socket is half as long (GSO_MAX_SIZE in linux/netdevice.h).
	maxPacketLen = 1 << 20
	// maxBlockLen is the longest pcapng block that is read: a packet and its options.
	maxBlockLen = maxPacketLen + 1<<16
	readSize    = 1 << 18 // bytes asked of the file at once
)

// Reader reads the packets of one file in order.
type Reader struct {
	gate    gate
	format  format
	lib     decoder          // nil until the first Next
	ng      *pcapgo.NgReader // lib, of a pcapng file
	dlt     uint32           // of a pcap file
	packed  *decompressor    // nil: the file is not compressed
	packets uint64
	last    int64 // Time of the latest packet
	err     error // what Next returns from now on
}

// decoder is either of pcapgo's readers.
type decoder interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// NewReader returns a Reader of the file r, which may be compressed with gzip or zstd. It reads the first bytes
// to tell the format; the first Next reads the headers. The error is ErrEmpty, a *CompressedError, a
// *FormatError, a *DamageError of compressed data whose very beginning is damaged, or that of reading r.
func NewReader(r io.Reader) (*Reader, error) {
	src := bufio.NewReaderSize(r, readSize)
	magic, err := src.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	opened := &Reader{}
	if kind := compression(magic); kind != "" {
		if opened.packed, err = newDecompressor(kind, src); err == nil {
			src = bufio.NewReaderSize(opened.packed, readSize)
			magic, err = src.Peek(4)
		}
		if err != nil && err != io.EOF {
			opened.Close()
			if bad := new(compressionError); errors.As(err, &bad) {
				return nil, opened.located(&DamageError{What: bad.what})
			}
			return nil, err
		}
	}
	f, err := formatOf(magic)
	if err != nil {
		opened.Close()
		if twice := new(CompressedError); opened.packed != nil && errors.As(err, &twice) {
			return nil, &CompressedError{Format: twice.Format + " inside " + opened.packed.format}
		}
		return nil, err
	}
	opened.gate, opened.format = newGate(src, f), f
	return opened, nil
}

// Close gives back the memory that decompressing takes. It does not close the file, and Next must not be called
// any more.
func (r *Reader) Close() {
	if r.packed != nil {
		r.packed.close()
	}
}

// StartAfter sets the Time that the file before ended with: packets without a time of their own that come first
// get it.
func (r *Reader) StartAfter(time int64) { r.last = time }

// Next reads the next packet into p. The error is io.EOF at the end of the file, a *DamageError where the file
// is damaged or cut off, and else that of reading it. After an error Next returns the same again.
func (r *Reader) Next(p *Packet) error {
	if r.err == nil {
		r.err = r.next(p)
	}
	return r.err
}

// Packets returns the number of packets that Next has delivered.
func (r *Reader) Packets() uint64 { return r.packets }

// Offset returns the number of bytes of the file that were read: up to the end of the latest record, or, of a
// compressed file, as many as that took.
func (r *Reader) Offset() int64 {
	if r.packed != nil {
		return r.packed.src.n
	}
	return r.gate.off
}

func (r *Reader) next(p *Packet) (err error) {
	defer func() {
		if bug := recover(); bug != nil {
			err = r.damage(fmt.Sprintf("the decoder gave up: %v", bug))
		}
	}()
	r.gate.packets = 0
	if r.lib == nil {
		if err := r.start(); err != nil {
			return r.explain(err)
		}
	}
	data, info, err := r.lib.ZeroCopyReadPacketData()
	if err != nil {
		return r.explain(err)
	}
	if r.gate.packets > 1 || len(data) > r.gate.capacity {
		return r.damage("the packet is longer than its record")
	}
	p.DLT = r.dlt
	if r.ng != nil {
		if err := r.ngPacket(p, &info); err != nil {
			return err
		}
	} else {
		p.Time = info.Timestamp.UnixNano()
	}
	r.last = p.Time
	p.Link = parse.LinkFromDLT(p.DLT)
	p.Data, p.WireLen = data, max(uint32(info.Length), uint32(len(data)))
	r.packets++
	return nil
}

// start makes the decoder, which reads the file's header.
func (r *Reader) start() error {
	if r.format == pcapng {
		ng, err := pcapgo.NewNgReader(&r.gate, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		r.lib, r.ng = ng, ng
		return err
	}
	lib, err := pcapgo.NewReader(&r.gate)
	if err != nil {
		return err
	}
	lib.SetSnaplen(maxPacketLen) // writers exceed the length that they declare
	r.lib, r.dlt = lib, uint32(lib.LinkType())
	return nil
}

// ngPacket fills in the fields of p that depend on a pcapng packet's interface.
func (r *Reader) ngPacket(p *Packet, info *gopacket.CaptureInfo) error {
	link, ok := info.AncillaryData[0].(layers.LinkType)
	if !ok {
		return r.damage("the packet has no link type")
	}
	p.DLT = uint32(link)
	p.Time = r.last
	if r.gate.timed {
		at, err := r.ng.Interface(info.InterfaceIndex)
		if err != nil {
			return r.damage(err.Error())
		}
		p.Time = nanos(r.gate.stamp, uint8(at.TimestampResolution), int64(at.TimestampOffset))
	}
	return nil
}

// explain returns err with the place where it happened. The decoder may have wrapped an error of the gate.
func (r *Reader) explain(err error) error {
	var damage *DamageError
	switch end := r.gate.err; {
	case errors.As(end, &damage):
		return r.located(damage)
	case r.gate.broken:
		return fmt.Errorf("reading failed at byte %d, in packet %d: %w", r.Offset(), r.packets+1, end)
	case errors.Is(end, io.EOF) && err == io.EOF: // the decoder's words for an end between two records
		return io.EOF
	}
	return r.damage(err.Error())
}

// damage returns the decoder's complaint about the record at hand, or what it should complain about. The
// decoder may have read on into later records.
func (r *Reader) damage(what string) *DamageError {
	at := r.gate.start
	if r.gate.packets > 0 {
		at = r.gate.first
	}
	return r.located(&DamageError{Offset: at, What: what})
}

// located returns d with the packet that could not be read, and how much of a compressed file was.
func (r *Reader) located(d *DamageError) *DamageError {
	d.Packet = r.packets + 1
	if r.packed != nil {
		d.Compression, d.Compressed = r.packed.format, r.packed.src.n
	}
	return d
}
