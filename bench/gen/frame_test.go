package gen

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestPutWritesTheseBytes(t *testing.T) {
	for _, test := range []struct {
		name string
		s    segment
		want string
	}{
		{"a SYN", segment{src: 0x0a000001, dst: 0xc6120001, srcPort: 32768, dstPort: 443, seq: 0x01020304, flags: flagSYN},
			"45000034 00004000 40066ab0 0a000001 c6120001" + // v4, IHL 5, 52 bytes; DF; TTL 64, TCP
				"800001bb 01020304 00000000 8002ffff 193c0000" + // data offset 8 words, SYN, window 65535
				"020405b4 01030307 01010402"}, // MSS 1460; NOP, shift 7; NOP, NOP, SACK permitted
		{"an ACK", segment{src: 0xc6120001, dst: 0x0a000001, srcPort: 443, dstPort: 32768, seq: 0xffffffff, ack: 1, flags: flagACK},
			"45000028 00004000 40066abc c6120001 0a000001" +
				"01bb8000 ffffffff 00000001 5010ffff 5e040000"},
		{"three bytes of data", segment{src: 1, dst: 2, srcPort: 3, dstPort: 4, seq: 5, ack: 6, flags: flagACK | flagPSH, payload: 3},
			"4500002b 00004000 40063acb 00000001 00000002" +
				"00030004 00000005 00000006 5018ffff afb50000"},
		{"a segment longer than its frame", segment{src: 1, dst: 2, srcPort: 3, dstPort: 4, seq: 5, ack: 6, flags: flagACK, payload: 1, totalLen: 65535},
			"4500ffff 00004000 40063af6 00000001 00000002" +
				"00030004 00000005 00000006 5010ffff afe80000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.ReplaceAll(test.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 80)
			n := put(b, &test.s, 1460, true)
			if got := b[etherLen:n]; !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func TestPutWipesTheOptionsOfTheFrameBefore(t *testing.T) {
	b := make([]byte, 100)
	put(b, &segment{flags: flagSYN}, 1460, true)
	n := put(b, &segment{flags: flagACK, payload: 20}, 1460, true)
	if payload := b[n : n+20]; !bytes.Equal(payload, make([]byte, 20)) {
		t.Errorf("payload %x, want zeros", payload)
	}
}

// FuzzPut checks lengths and checksums against the slow decoder.
func FuzzPut(f *testing.F) {
	f.Add(uint32(0x0a000001), uint32(0xc6120001), uint32(0xffff0001), uint32(0xffffffff), uint32(0x8000_01bb), uint8(flagACK), uint16(1400))
	f.Add(uint32(0), uint32(0), uint32(0), uint32(0), uint32(0), uint8(flagSYN), uint16(0))
	f.Add(^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), uint8(0x1f), uint16(65483))
	b := make([]byte, etherLen+maxTotalLen)
	f.Fuzz(func(t *testing.T, src, dst, seq, ack, ports uint32, flags uint8, payload uint16) {
		flags &= 0x1f // the flags that the generator uses
		payload = min(payload, maxPayload-synOptionsLen)
		putEther(b, destMAC, sourceMAC)
		n := put(b, &segment{src: src, dst: dst, srcPort: uint16(ports >> 16), dstPort: uint16(ports), seq: seq, ack: ack,
			flags: flags, payload: int(payload)}, 1460, true)
		p, err := decode(b[:n+int(payload)], true)
		if err != nil {
			t.Fatal(err)
		}
		if p.seq != seq || p.ack != ack || p.payload != int(payload) || uint32(p.src.Port())<<16|uint32(p.dst.Port()) != ports {
			t.Errorf("read back %+v", p)
		}
	})
}
