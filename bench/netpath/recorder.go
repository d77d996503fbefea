package netpath

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// snapLen bytes of each packet are recorded: all headers.
const snapLen = 128

// recorder writes a pcap file of raw IP packets with times in ns. Times may be up to
// mostEarly too early; it sorts by them.
type recorder struct {
	epoch     time.Time // time 0
	mostEarly time.Duration
	buf       *bufio.Writer
	pcap      *pcapgo.Writer
	held      []record // by time, those of equal times as they came
}

type record struct {
	at     time.Duration
	length int // of the whole packet
	data   []byte
}

func newRecorder(w io.Writer, epoch time.Time, mostEarly time.Duration) (*recorder, error) {
	buf := bufio.NewWriterSize(w, 1<<16)
	r := &recorder{epoch: epoch, mostEarly: mostEarly, buf: buf, pcap: pcapgo.NewWriterNanos(buf)}
	if err := r.pcap.WriteFileHeader(snapLen, layers.LinkTypeRaw); err != nil {
		return nil, fmt.Errorf("netpath: capture: %w", err)
	}
	return r, nil
}

// add records a packet that the path passes on now, early by up to mostEarly.
func (r *recorder) add(now, early time.Duration, packet []byte) error {
	if r.mostEarly == 0 {
		return r.write(record{now, len(packet), packet[:min(len(packet), snapLen)]})
	}
	at := now - early
	i := len(r.held)
	for i > 0 && r.held[i-1].at > at {
		i--
	}
	r.held = slices.Insert(r.held, i, record{at, len(packet), slices.Clone(packet[:min(len(packet), snapLen)])})
	return r.flush(now - r.mostEarly)
}

// flush writes what is not later than a time.
func (r *recorder) flush(until time.Duration) error {
	n := 0
	for ; n < len(r.held) && r.held[n].at <= until; n++ {
		if err := r.write(r.held[n]); err != nil {
			return err
		}
	}
	r.held = slices.Delete(r.held, 0, n)
	return nil
}

func (r *recorder) write(p record) error {
	info := gopacket.CaptureInfo{Timestamp: r.epoch.Add(p.at), CaptureLength: len(p.data), Length: p.length}
	if err := r.pcap.WritePacket(info, p.data); err != nil {
		return fmt.Errorf("netpath: capture: %w", err)
	}
	return nil
}

// close writes what is left; the file is the caller's.
func (r *recorder) close() error {
	if err := r.flush(1<<63 - 1); err != nil {
		return err
	}
	if err := r.buf.Flush(); err != nil {
		return fmt.Errorf("netpath: capture: %w", err)
	}
	return nil
}
