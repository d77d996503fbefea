package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/afpacket"
	"github.com/gopacket/gopacket/layers"
)

// reader takes packets from a ring, one at a time, and accounts each to its stream.
type reader struct {
	next             func() error
	close            func() // before the ring
	packets, skipped uint64 // read; of them no TCP over IPv4

	mu      sync.Mutex // as against a scrape
	streams map[key]*stream
}

// key is text, as in labels.
type key struct {
	source, destination         string
	sourcePort, destinationPort uint16
}

// stream holds the least that such an exporter keeps of one direction of a connection.
type stream struct {
	packets, bytes, repeated, acks uint64
	nextSeq, lastAck               uint32
	window                         uint16
	first, last                    time.Time
}

func newReader(decode string, ring *afpacket.TPacket) (*reader, error) {
	r := &reader{close: func() {}, streams: make(map[key]*stream)}
	switch decode {
	case "source":
		r.next = r.source(ring)
	case "packet":
		source := gopacket.NewPacketSource(ring, layers.LayerTypeEthernet)
		r.next = func() error {
			p, err := source.NextPacket()
			if err == nil {
				r.packet(p)
			}
			return err
		}
	case "lazy":
		options := gopacket.DecodeOptions{Lazy: true, NoCopy: true}
		r.next = func() error {
			data, info, err := ring.ZeroCopyReadPacketData()
			if err != nil {
				return err
			}
			p := gopacket.NewPacket(data, layers.LayerTypeEthernet, options)
			p.Metadata().CaptureInfo = info
			r.packet(p)
			return nil
		}
	case "parser":
		r.next = r.parser(ring)
	default:
		return nil, fmt.Errorf("-decode %q is unknown: take source, packet, lazy or parser", decode)
	}
	return r, nil
}

// source takes packets from the channel of a gopacket.PacketSource, which another goroutine fills with
// copies of the frames, and has them decoded on demand: how gopacket's documentation says to do it,
// and how the predecessor of this exporter did it.
func (r *reader) source(ring *afpacket.TPacket) func() error {
	from := &ending{ring: ring}
	source := gopacket.NewPacketSource(from, layers.LayerTypeEthernet)
	source.Lazy, source.NoCopy = true, true
	packets := source.Packets()
	r.close = func() {
		from.ended.Store(true)
		for range packets { // until the other goroutine has left the ring
		}
	}
	patience := time.NewTimer(pollTimeout)
	return func() error {
		select {
		case p := <-packets:
			r.packet(p)
			return nil
		default:
		}
		patience.Reset(pollTimeout)
		select {
		case p := <-packets:
			r.packet(p)
			return nil
		case <-patience.C:
			return afpacket.ErrTimeout
		}
	}
}

// ending reads from a ring until it is stopped: to end by the channel costs more per packet.
type ending struct {
	ring  *afpacket.TPacket
	ended atomic.Bool
}

func (e *ending) ReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	if e.ended.Load() {
		return nil, gopacket.CaptureInfo{}, io.EOF
	}
	return e.ring.ReadPacketData()
}

// packet accounts a decoded packet.
func (r *reader) packet(p gopacket.Packet) {
	r.packets++
	ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if ip == nil {
		r.skipped++
		return
	}
	tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if tcp == nil {
		r.skipped++
		return
	}
	r.account(ip, tcp, p.Metadata().Timestamp)
}

// parser decodes without a gopacket.Packet, into layers that are used again.
func (r *reader) parser(ring *afpacket.TPacket) func() error {
	var ethernet layers.Ethernet
	var ip layers.IPv4
	var tcp layers.TCP
	var payload gopacket.Payload
	p := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &ethernet, &ip, &tcp, &payload)
	p.IgnoreUnsupported = true
	decoded := make([]gopacket.LayerType, 0, 4)
	return func() error {
		data, info, err := ring.ZeroCopyReadPacketData()
		if err != nil {
			return err
		}
		r.packets++
		// With an error the layers decoded before it are there: they are checked below.
		_ = p.DecodeLayers(data, &decoded)
		if len(decoded) < 3 || decoded[2] != layers.LayerTypeTCP {
			r.skipped++
			return nil
		}
		r.account(&ip, &tcp, info.Timestamp)
		return nil
	}
}

// account finds the stream by its key and counts.
func (r *reader) account(ip *layers.IPv4, tcp *layers.TCP, at time.Time) {
	k := key{ip.SrcIP.String(), ip.DstIP.String(), uint16(tcp.SrcPort), uint16(tcp.DstPort)}
	payload := uint64(max(int(ip.Length)-int(ip.IHL)*4-int(tcp.DataOffset)*4, 0))
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[k]
	if s == nil {
		s = &stream{first: at, nextSeq: tcp.Seq}
		r.streams[k] = s
	}
	s.packets++
	s.bytes += payload
	if payload > 0 {
		if int32(tcp.Seq-s.nextSeq) < 0 {
			s.repeated++
		}
		s.nextSeq = tcp.Seq + uint32(payload)
	}
	if tcp.ACK && tcp.Ack != s.lastAck {
		s.acks++
		s.lastAck = tcp.Ack
	}
	s.window, s.last = tcp.Window, at
}
