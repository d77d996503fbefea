package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// pty is a terminal of the kernel's, and what was written to it.
type pty struct {
	ours, theirs *os.File
	mu           sync.Mutex
	said         []byte
}

// newPTY opens a terminal of a size (pty(7), /dev/ptmx).
func newPTY(t *testing.T, width, height uint16) *pty {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	p := &pty{ours: ours}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.theirs.Close() })
	p.resize(t, width, height)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := ours.Read(b)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.said = append(p.said, b[:n]...)
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *pty) resize(t *testing.T, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

// mode returns the terminal's modes.
func (p *pty) mode(t *testing.T) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(p.theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// until waits until a text is written after what was written before, which it forgets.
func (p *pty) until(t *testing.T, text string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		if i := bytes.Index(p.said, []byte(text)); i >= 0 {
			said := string(p.said[:i+len(text)])
			p.said = p.said[i+len(text):]
			p.mu.Unlock()
			return said
		}
		said := string(p.said)
		p.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("no %q on the terminal: %q", text, said)
		}
	}
}

func (p *pty) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := p.ours.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// top shows the streams of a running exporter on a terminal, and brings the terminal back, also after SIGTERM.
func TestTop(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	e := l.A.StartExporter(t, binary(t), append(ages, "-interface", lab.IfName)...)
	if err := c.exchange(s, 100_000, 1_000_000); err != nil {
		t.Fatal(err)
	}
	_, data := s.with(t, c)
	e.Settle(t)
	filter := fmt.Sprintf("port=%d", data.Src.Port())

	once := l.A.Run(t, binary(t), "top", "-once", "-filter", filter, "-address", "http://"+lab.Address)
	lines := strings.Split(strings.TrimSuffix(once, "\n"), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[1], "COMPLETE: ") || !strings.Contains(lines[3], filter) || !strings.HasPrefix(lines[5], data.Src.String()) {
		t.Errorf("-once printed\n%s", once)
	}

	for name, end := range map[string]func(p *pty, process *os.Process){
		"q":       func(p *pty, _ *os.Process) { p.press(t, "q") },
		"SIGTERM": func(_ *pty, process *os.Process) { process.Signal(syscall.SIGTERM) },
	} {
		p := newPTY(t, 80, 24)
		before := p.mode(t)
		cmd := l.A.Command(binary(t), "top", "-interval", "500ms")
		cmd.Env = append(os.Environ(), "TERM=xterm")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = p.theirs, p.theirs, p.theirs
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that SIGWINCH goes to it
		ended, err := lab.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		p.until(t, "COMPLETE: ")
		if p.mode(t) == before {
			t.Errorf("%s: the terminal is not in raw mode", name)
		}
		p.press(t, "/"+filter+"\r")
		p.until(t, "2 of 2 streams")
		p.until(t, data.Src.String())
		p.press(t, "d")
		p.until(t, "by delay")
		p.resize(t, 120, 30)
		p.until(t, "JITTER")
		p.press(t, "g")
		p.until(t, "CLIENT ")
		end(p, cmd.Process)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: it does not end", name)
		}
		p.until(t, "\x1b[?25h\x1b[?1049l")
		if status := cmd.ProcessState.ExitCode(); status != 0 || p.mode(t) != before {
			t.Errorf("%s: status %d; modes %+v, want %+v", name, status, p.mode(t), before)
		}
	}
}
