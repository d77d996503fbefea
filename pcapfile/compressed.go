package pcapfile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow is how far back zstd data may refer, in bytes: the decoder keeps that much. It is what the
// zstd program allows without --long or --memory (ZSTD_WINDOWLOG_LIMIT_DEFAULT in zstd.h, version 1.5).
const maxZstdWindow = 128 << 20

// compression returns the format of a compressed file that is decompressed here, by the file's first bytes:
// gzip (RFC 1952, section 2.3.1), zstd (RFC 8878, section 3.1.1), or empty.
func compression(magic []byte) string {
	switch {
	case len(magic) >= 2 && string(magic[:2]) == gzipMagic:
		return "gzip"
	case len(magic) == 4 && string(magic) == zstdMagic:
		return "zstd"
	}
	return ""
}

const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// decompressor decompresses a file as it is read. Nothing grows with the file: gzip takes some 50 KiB, zstd
// twice the window that the file asks for, up to 2 × maxZstdWindow.
type decompressor struct {
	format string // gzip or zstd
	src    *counter
	from   io.Reader
	close  func()
}

// newDecompressor returns a decompressor of src, which begins with the magic number of format. The error is
// that of reading src, or a *compressionError.
func newDecompressor(format string, src *bufio.Reader) (*decompressor, error) {
	d := &decompressor{format: format, src: &counter{src: src}, close: func() {}}
	if format == "gzip" {
		z, err := gzip.NewReader(d.src)
		d.from = z
		return d, d.explain(err)
	}
	// On the caller's goroutine: what has been read of the file is then what the packets so far needed, and
	// an end says how far it came. In the mode of low memory the decoder would move the whole window for each
	// block of 128 KiB.
	z, err := zstd.NewReader(d.src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(false), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return d, d.explain(err)
	}
	d.from, d.close = z, z.Close
	return d, nil
}

// Read reads decompressed bytes. The error is io.EOF where the compressed data end as they should.
func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.from.Read(p)
	return n, d.explain(err)
}

// explain returns err, unless it comes from the data and not from reading them: then a *compressionError.
func (d *decompressor) explain(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case d.src.err != nil:
		return d.src.err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &compressionError{"the " + d.format + " data end early"}
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &compressionError{"the zstd data refer further back than 128 MiB: decompress the file first, with zstd -dc --long=31"}
	}
	return &compressionError{"the " + d.format + " data are wrong: " + err.Error()}
}

// compressionError says what is wrong with compressed data. It wraps nothing: the end of the compressed data
// is not the end of a record.
type compressionError struct{ what string }

func (e *compressionError) Error() string { return e.what }

// counter counts the bytes that are read through it, and keeps the error of reading. It is an io.ByteReader, so
// that gzip takes no byte more than it needs.
type counter struct {
	src *bufio.Reader
	n   int64
	err error // what ended src, unless it is io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, c.note(err)
}

// ReadByte reads one byte.
func (c *counter) ReadByte() (byte, error) {
	b, err := c.src.ReadByte()
	if err != nil {
		return 0, c.note(err)
	}
	c.n++
	return b, nil
}

func (c *counter) note(err error) error {
	if err != nil && err != io.EOF {
		c.err = err
	}
	return err
}
