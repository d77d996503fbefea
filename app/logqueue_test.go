package app

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestLogQueueWritesAllLinesInOrder(t *testing.T) {
	var out, want bytes.Buffer
	q := newLogQueue(&out, nil)
	for i := range logLines {
		line := fmt.Appendf(nil, "line %d\n", i)
		want.Write(line)
		if n, err := q.Write(line); n != len(line) || err != nil {
			t.Fatalf("line %d: %d, %v", i, n, err)
		}
		line[0] = 'x' // the caller may use it again
	}
	q.close()
	if out.String() != want.String() {
		t.Errorf("written:\n%s\nwant\n%s", &out, &want)
	}
}

// A reader that has stopped holds up nobody, and learns later how much it has missed.
func TestLogQueueWithAStuckReader(t *testing.T) {
	r, w := io.Pipe()
	writing := make(chan struct{}, 1)
	q := newLogQueue(writerFunc(func(line []byte) (int, error) {
		select {
		case writing <- struct{}{}:
		default:
		}
		return w.Write(line)
	}), func(lost uint64) { fmt.Fprintf(w, "%d log lines are lost\n", lost) })
	const lost = 10
	begin := time.Now()
	io.WriteString(q, "first\n")
	<-writing // what is lost before would be told before
	for i := range logLines + lost {
		fmt.Fprintf(q, "line %d\n", i)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("writing took %v", took)
	}

	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(r)
		read <- string(text)
	}()
	q.close()
	w.Close()
	lines := strings.Split(<-read, "\n")
	if len(lines) != logLines+3 || lines[0] != "first" || !strings.Contains(lines[1], fmt.Sprintf("%d log lines are lost", lost)) ||
		lines[2] != "line 0" || lines[logLines+1] != fmt.Sprintf("line %d", logLines-1) {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestLogQueueEndsAlthoughItsReaderIsStuck(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close() // frees the queue's goroutine
	q := newLogQueue(w, nil)
	io.WriteString(q, "nobody reads this\n")
	begin := time.Now()
	q.close()
	if took := time.Since(begin); took < logPatience || took > logPatience+time.Second {
		t.Errorf("the end came after %v, want %v", took, logPatience)
	}
}
