package loss

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// softnetFile has a line of hexadecimal numbers for each processor that is online
// (softnet_seq_show in net/core/net-procfs.c). It is of the whole machine, in every network
// namespace. Under this name it is there with ProcSubset=pid in a systemd unit too.
const softnetFile = "/proc/self/net/softnet_stat"

// softnet is the sum over the processors.
type softnet struct {
	dropped  uint64 // second column: packets that found the queue of a processor full
	squeezed uint64 // third column: times that a processor ran out of its turn with packets waiting
}

var errSoftnet = errors.New("malformed " + softnetFile)

// parseSoftnet reads the file. A number has 32 bits and wraps.
func parseSoftnet(text []byte) (sum softnet, err error) {
	if len(text) == 0 {
		return softnet{}, fmt.Errorf("%w: it is empty", errSoftnet)
	}
	for line := range bytes.Lines(text) {
		field := bytes.Fields(line)
		if len(field) < 3 {
			return softnet{}, fmt.Errorf("%w: line %.80q has %d numbers, want 3 or more", errSoftnet, line, len(field))
		}
		for i, to := range []*uint64{&sum.dropped, &sum.squeezed} {
			n, err := strconv.ParseUint(string(field[1+i]), 16, 32)
			if err != nil {
				return softnet{}, fmt.Errorf("%w: %w", errSoftnet, err)
			}
			*to += n
		}
	}
	return sum, nil
}

// softnetReader reads the file again and again through one descriptor.
type softnetReader struct {
	file *os.File // nil: not open
	buf  []byte
}

func (s *softnetReader) read() (softnet, error) {
	if s.file == nil {
		f, err := os.Open(softnetFile)
		if err != nil {
			return softnet{}, fmt.Errorf("%w: /proc must be mounted", err)
		}
		s.file = f
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return softnet{}, s.fail(err)
	}
	b := bytes.NewBuffer(s.buf[:0])
	if _, err := b.ReadFrom(s.file); err != nil {
		return softnet{}, s.fail(err)
	}
	s.buf = b.Bytes()
	sum, err := parseSoftnet(s.buf)
	if err != nil {
		return softnet{}, s.fail(err)
	}
	return sum, nil
}

// fail closes the file, to be opened anew.
func (s *softnetReader) fail(err error) error {
	s.close()
	return err
}

func (s *softnetReader) close() {
	if s.file != nil {
		_ = s.file.Close() // it was only read
		s.file = nil
	}
}
