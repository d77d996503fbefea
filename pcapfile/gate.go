package pcapfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// gate hands a file to the decoder record by record. A Read never reaches into the next record, so the
// decoder cannot read ahead, and start is always the offset of the packet that it works on.
type gate struct {
	src *bufio.Reader
	cut func(*gate) error // reads one whole record into rec, or drops one and leaves rec empty

	off    int64  // bytes taken from src
	start  int64  // offset of the record at hand
	rec    []byte // the record at hand
	unread []byte // the part of it that the decoder has not read
	begun  bool   // the file header or the first section header was read
	err    error  // what ended the file
	broken bool   // err comes from reading src: the file's contents may be in order

	// Of the latest packet record.
	packets  int    // packet records since the reader set it to 0
	first    int64  // offset of the first of them
	capacity int    // bytes that it has for the packet
	timed    bool   // it has a time stamp of its own
	stamp    uint64 // pcapng: the time stamp in units of the interface

	order binary.ByteOrder // of the file, or of the section
}

func newGate(src *bufio.Reader, f format) gate {
	g := gate{src: src, cut: cutBlock}
	switch f {
	case pcapLittle:
		g.cut, g.order = cutRecord, binary.LittleEndian
	case pcapBig:
		g.cut, g.order = cutRecord, binary.BigEndian
	}
	return g
}

// Read reads from the record at hand, or from the next one if that is used up.
func (g *gate) Read(p []byte) (int, error) {
	for len(g.unread) == 0 {
		if g.err != nil {
			return 0, g.err
		}
		g.start, g.rec = g.off, g.rec[:0]
		if g.err = g.cut(g); g.err != nil {
			return 0, g.err
		}
		g.unread = g.rec
	}
	n := copy(p, g.unread)
	g.unread = g.unread[n:]
	return n, nil
}

// take appends the next n bytes of the file to the record at hand. first: the record begins here,
// where a file may end.
func (g *gate) take(n int, first bool) error {
	at := len(g.rec)
	if need := at + n; need > cap(g.rec) {
		g.rec = append(make([]byte, 0, max(need, 2*cap(g.rec))), g.rec...)
	}
	g.rec = g.rec[:at+n]
	got, err := io.ReadFull(g.src, g.rec[at:])
	g.off += int64(got)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && first && g.begun:
		return io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return g.damage("the file ends %d bytes early", n-got)
	}
	return g.failed(err)
}

// failed returns the error of reading src: damage if what is compressed is damaged.
func (g *gate) failed(err error) error {
	if bad := new(compressionError); errors.As(err, &bad) {
		return g.damage("%s", bad.what)
	}
	g.broken = true
	return err
}

// skip skips n bytes.
func (g *gate) skip(n int64) error {
	for n > 0 {
		step := int(min(n, 1<<30))
		got, err := g.src.Discard(step)
		g.off, n = g.off+int64(got), n-int64(got)
		if errors.Is(err, io.EOF) {
			return g.damage("the file ends %d bytes early", n)
		}
		if err != nil {
			return g.failed(err)
		}
	}
	return nil
}

// damage returns the error of the record at hand.
func (g *gate) damage(format string, args ...any) error {
	return &DamageError{Offset: g.start, What: fmt.Sprintf(format, args...)}
}

// packet notes that the record at hand holds a packet.
func (g *gate) packet(capacity int, timed bool) {
	if g.packets == 0 {
		g.first = g.start
	}
	g.packets++
	g.capacity, g.timed = capacity, timed
}

// cutRecord cuts the next record of a pcap file: a header of 24 bytes, then packets with a header of 16 bytes
// each (pcap-savefile(5)).
func cutRecord(g *gate) error {
	const fileHeader, recordHeader = 24, 16
	if !g.begun {
		err := g.take(fileHeader, true)
		g.begun = true
		return err
	}
	if err := g.take(recordHeader, true); err != nil {
		return err
	}
	n, wire := g.order.Uint32(g.rec[8:]), g.order.Uint32(g.rec[12:])
	if n > maxPacketLen {
		return g.damage("a packet of %d bytes, and %d is the most", n, maxPacketLen)
	}
	if n > wire { // the decoder refuses it; tcpdump and Wireshark read it
		g.order.PutUint32(g.rec[12:], n)
	}
	g.packet(int(n), true)
	return g.take(int(n), false)
}
