package lab

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestHolderLetsFramesBeOvertaken(t *testing.T) {
	// Each frame is one byte, a digit: the number of later frames that are to overtake it.
	for _, c := range []struct{ name, in, behind, want string }{
		{"none", "abcd", "0000", "abcd"},
		{"by the next one", "abcd", "0100", "acbd"},
		{"by two", "abcde", "02000", "acdbe"},
		{"two in a row", "abcde", "01100", "adbce"},
		{"by more than there are", "abc", "090", "acb"},
		{"the last", "abc", "001", "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			h := holder{
				behind: func(f []byte) int { return int(c.behind[strings.IndexByte(c.in, f[0])] - '0') },
				out:    func(f []byte) { out.Write(f) },
			}
			for i := range c.in {
				h.frame([]byte(c.in[i : i+1]))
			}
			h.flush()
			if out.String() != c.want {
				t.Errorf("%s, overtaken by %s: leave as %s, want %s", c.in, c.behind, &out, c.want)
			}
		})
	}
}

func TestPipeDelaysBothWays(t *testing.T) {
	const delay = 30 * time.Millisecond
	l := NewLine(t)
	l.Offloads(t, false)
	l.Pipe(t, Pipe{Delay: delay})
	took := transfer(t, l, 5000)
	// The SYN, its answer and the data cross the line one after another, and ARP before them.
	if took < 3*delay || took > 3*time.Second {
		t.Errorf("connecting and sending 5000 bytes took %v, want %v at least and below 3 s", took, 3*delay)
	}
}

func TestSlowLine(t *testing.T) {
	l := NewLine(t)
	l.Offloads(t, false)
	l.Slow(t, "8mbit")
	took := transfer(t, l, 500_000)
	if want := 500 * time.Millisecond; took < want || took > 3*want {
		t.Errorf("500000 bytes at 8 Mbit/s took %v, want %v to %v", took, want, 3*want)
	}
}

// transfer connects from A to B, sends n bytes and returns how long it took until B had read them.
func transfer(t *testing.T, l *Line, n int) time.Duration {
	t.Helper()
	ln, err := l.B.Listen("tcp4", net.JoinHostPort(l.B.Addr.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan int64, 1)
	go func() {
		read := int64(-1)
		if c, err := ln.Accept(); err == nil {
			c.SetDeadline(time.Now().Add(5 * time.Second))
			read, _ = io.Copy(io.Discard, c)
			c.Close()
		}
		got <- read
	}()
	start := time.Now()
	c, err := l.A.Dial(context.Background(), "tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(start.Add(5 * time.Second))
	_, err = c.Write(make([]byte, n))
	c.Close()
	if err != nil {
		t.Fatal(err)
	}
	if read := <-got; read != int64(n) {
		t.Fatalf("B read %d bytes, want %d", read, n)
	}
	return time.Since(start)
}
