package pcapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrEmpty is returned for a file without a single byte.
var ErrEmpty = errors.New("the file is empty")

// FormatError is returned for a file in another format.
type FormatError struct{ Magic []byte } // its first bytes, at most four

func (e *FormatError) Error() string {
	return fmt.Sprintf("neither pcap nor pcapng, the formats that are read (it begins with %x)", e.Magic)
}

// CompressedError is returned for a file that is compressed in a way that is not read here, or twice.
type CompressedError struct {
	Format string // xz, …
	Tool   string // the program that writes the file's contents to standard output; empty: it takes several
}

func (e *CompressedError) Error() string { return "compressed with " + e.Format }

// DamageError is the place at which a file is damaged or cut off. All packets before have been delivered.
type DamageError struct {
	Offset int64  // byte at which the damaged record begins, of the decompressed file
	Packet uint64 // number of the packet that could not be read, counted from 1
	What   string // what is wrong

	Compression string // gzip, zstd; empty: the file is not compressed
	Compressed  int64  // bytes of the compressed file that were read until then
}

func (e *DamageError) Error() string {
	if e.Compression != "" {
		return fmt.Sprintf("damaged at byte %d of the decompressed file, in packet %d, after %d bytes of the %s data: %s",
			e.Offset, e.Packet, e.Compressed, e.Compression, e.What)
	}
	return fmt.Sprintf("damaged at byte %d, in packet %d: %s", e.Offset, e.Packet, e.What)
}

const magicSection = 0x0a0d0d0a // pcapng: section header block, the same in either byte order

type format uint8

const (
	pcapLittle format = iota
	pcapBig
	pcapng
)

// formatOf returns a file's format by its first bytes.
func formatOf(magic []byte) (format, error) {
	if len(magic) == 0 {
		return 0, ErrEmpty
	}
	for _, c := range []struct {
		magic string
		is    CompressedError
	}{
		{gzipMagic, CompressedError{"gzip", "zcat"}},
		{zstdMagic, CompressedError{"zstd", "zstdcat"}},
		{"\xfd7zX", CompressedError{"xz", "xzcat"}},
		{"BZh", CompressedError{"bzip2", "bzcat"}},
		{"\x04\x22\x4d\x18", CompressedError{"lz4", "lz4cat"}},
	} {
		if len(magic) >= len(c.magic) && string(magic[:len(c.magic)]) == c.magic {
			return 0, &c.is
		}
	}
	if len(magic) == 4 {
		switch binary.LittleEndian.Uint32(magic) {
		case magicSection:
			return pcapng, nil
		case 0xa1b2c3d4, 0xa1b23c4d:
			return pcapLittle, nil
		case 0xd4c3b2a1, 0x4d3cb2a1:
			return pcapBig, nil
		}
	}
	return 0, &FormatError{Magic: magic}
}
