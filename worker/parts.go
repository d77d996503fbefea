package worker

import "errors"

// partConnections is for how many connections a part has room: its two streams each take 1.2 MB, which stay in a
// processor's cache until the reader has looked at them.
const partConnections = 1 << 12

// PartStreams is how many streams a part holds at most.
const PartStreams = 2 * partConnections

// Parts holds the memory of a reader that looks at the streams part by part: 2.5 MB, however many streams there are. The
// worker fills one part while the reader looks at the other. The zero value is ready to use. Not safe for concurrent use.
type Parts struct {
	WithHidden bool // as in Snapshot

	parts [2]Snapshot
	next  int
}

// Next returns the part that was used before the last one, emptied.
func (p *Parts) Next() (*Snapshot, error) {
	s := &p.parts[p.next]
	p.next ^= 1
	s.WithHidden = p.WithHidden
	if err := s.Empty(partConnections); err != nil {
		return nil, err
	}
	return s, nil
}

// Close frees the memory, which must not be looked at after it.
func (p *Parts) Close() error { return errors.Join(p.parts[0].Close(), p.parts[1].Close()) }
