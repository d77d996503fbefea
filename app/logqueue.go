package app

import (
	"io"
	"sync/atomic"
	"time"
)

const (
	// logLines is the most lines that wait for a slow reader of the log.
	logLines = 256
	// logPatience is how long the program waits at its end for lines to be written.
	logPatience = 200 * time.Millisecond
)

// logQueue writes lines to w on a goroutine of its own. A full pipe that nobody reads, or a disk that
// hangs, would block the writer: the capture, scrapes, the end after a signal. Lines that find the queue
// full are lost, and the next one that is written comes after a line with their number.
type logQueue struct {
	w     io.Writer
	lines chan []byte
	lost  atomic.Uint64
	tell  func(lost uint64) // writes a line to w that says how many are lost
	quit  chan struct{}     // closed by close
	done  chan struct{}     // closed when all is written
}

func newLogQueue(w io.Writer, tell func(lost uint64)) *logQueue {
	q := &logQueue{w: w, tell: tell, lines: make(chan []byte, logLines), quit: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

func (q *logQueue) run() {
	defer close(q.done)
	for {
		select {
		case line := <-q.lines:
			q.put(line)
			continue
		default:
		}
		select {
		case line := <-q.lines:
			q.put(line)
		case <-q.quit:
			if len(q.lines) == 0 {
				q.tellLost()
				return
			}
		}
	}
}

func (q *logQueue) put(line []byte) {
	q.tellLost()
	_, _ = q.w.Write(line) // a full disk: there is nowhere to report it
}

func (q *logQueue) tellLost() {
	if n := q.lost.Swap(0); n != 0 {
		q.tell(n)
	}
}

// Write takes one line. It never waits and never fails; after close the line may be lost.
func (q *logQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- append([]byte(nil), line...):
	default:
		q.lost.Add(1)
	}
	return len(line), nil
}

// close waits for the lines to be written, but not for ever.
func (q *logQueue) close() {
	close(q.quit)
	select {
	case <-q.done:
	case <-time.After(logPatience):
	}
}
