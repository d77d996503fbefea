package lab

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/zstd"
)

// checkedBody is the body of an answer, unpacked, which passes its text on to be checked.
type checkedBody struct {
	io.ReadCloser
	packed io.Closer
	answer *Answer
	fault  func(error)
	ended  bool
}

// newCheckedBody takes the body of resp. The answer's faults at its end go to fault.
func newCheckedBody(resp *http.Response, answer *Answer, fault func(error)) (*checkedBody, error) {
	b := &checkedBody{packed: resp.Body, answer: answer, fault: fault}
	switch coding := resp.Header.Get("Content-Encoding"); coding {
	case "":
		b.ReadCloser = io.NopCloser(resp.Body)
	case "gzip":
		r, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		b.ReadCloser = r
	case "zstd":
		r, err := zstd.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		b.ReadCloser = r.IOReadCloser()
	default:
		return nil, fmt.Errorf("lab: an answer in the unknown encoding %q", coding)
	}
	return b, nil
}

func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.answer.Write(p[:n])
	if err == io.EOF && !b.ended {
		b.ended = true
		if err := b.answer.Close(); err != nil {
			b.fault(err)
		}
	}
	return n, err
}

func (b *checkedBody) Close() error {
	b.ReadCloser.Close() // of the unpacking
	return b.packed.Close()
}
