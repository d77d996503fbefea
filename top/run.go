package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// unlimited is the width of a table that nobody cuts.
const unlimited = 1 << 12

// errNoTerminal says that there is none to show a screen on.
var errNoTerminal = errors.New("no terminal to show a screen on: -once prints one table")

// Run shows the screen until ctx ends, a key ends it, or the terminal goes away, and brings the terminal back to what it was,
// also when it panics. An exporter that does not answer is no error: it is asked again.
func Run(ctx context.Context, o *Options, in, out *os.File) error {
	if !term.IsTerminal(int(in.Fd())) || Width(out) == 0 || os.Getenv("TERM") == "dumb" {
		return errNoTerminal
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(signals)
	return run(ctx, o, &device{in: in, out: out}, signals)
}

// Once prints one table to w. Width is that of a terminal, 0 for a table that is not cut.
func Once(ctx context.Context, o *Options, w io.Writer, width int) error {
	if width <= 0 {
		width = unlimited
	}
	c := o.client()
	m := newModel(o, c.name)
	m.interval, m.question.limit = 0, o.Rows
	a := c.ask(ctx, m.question)
	if a.noTable != nil {
		return a.noTable
	}
	if a.groups != nil {
		a.groups.Rows = a.groups.Rows[:min(len(a.groups.Rows), o.Rows)]
	}
	m.take(a)
	var b bytes.Buffer
	for _, l := range append(m.above(a.at), m.table(width)...) {
		b.WriteString(strings.TrimRight(cutText(clean(l.text), width), " "))
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// panicked is a panic of another goroutine, which the loop's goroutine repeats, so that the terminal is brought back first.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) String() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// loop holds what goes on while the screen is shown.
type loop struct {
	client  *client
	term    terminal
	model   *model
	keys    chan []byte   // closed when the terminal has gone
	panics  chan panicked // of the other goroutines
	answers chan answer
	cancel  context.CancelFunc // ends the question under way; nil: there is none
	number  int                // of the latest question
	width   int
	height  int
	frame   []byte // reused
}

func run(ctx context.Context, o *Options, t terminal, signals <-chan os.Signal) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.end()
	c := o.client()
	l := &loop{client: c, term: t, model: newModel(o, c.name), keys: make(chan []byte), panics: make(chan panicked, 2), answers: make(chan answer)}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go l.guard(func() { l.readKeys(ctx) })
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	l.measure()
	l.ask(ctx)
	clear := true
	for {
		if err := l.draw(clear); err != nil {
			return nil // the terminal has gone
		}
		clear = false
		select {
		case <-ctx.Done():
			return nil
		case p := <-l.panics:
			panic(&p)
		case s := <-signals:
			if s == syscall.SIGCONT {
				if err := t.begin(); err != nil { // the shell has had the terminal
					return nil
				}
			}
			clear = true
			if l.measure() && !l.model.paused {
				l.ask(ctx)
			}
		case <-tick.C:
			if !l.model.paused && l.cancel == nil {
				l.ask(ctx)
			}
		case a := <-l.answers:
			if a.number == l.number {
				l.cancel()
				l.cancel = nil
				l.model.take(a)
			}
		case b, open := <-l.keys:
			if !open {
				return nil
			}
			for _, key := range keysOf(b) {
				switch l.model.press(key) {
				case quitNow:
					return nil
				case anew:
					clear = true
				case askNow:
					l.ask(ctx)
				}
			}
		}
	}
}

// guard calls f and hands a panic of it to the loop.
func (l *loop) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			l.panics <- panicked{v, debug.Stack()}
		}
	}()
	f()
}

// measure takes the terminal's size and reports whether more rows may be needed.
func (l *loop) measure() bool {
	before := l.model.question.limit
	l.width, l.height = l.term.size()
	l.model.resize(l.height)
	return l.model.question.limit > before
}

// ask asks the exporter, in place of a question that is under way.
func (l *loop) ask(ctx context.Context) {
	if l.cancel != nil {
		l.cancel()
	}
	within, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	l.number++
	q, number := l.model.question, l.number
	go l.guard(func() {
		a := l.client.ask(within, q)
		a.number = number
		select {
		case l.answers <- a:
		case <-within.Done():
		}
	})
}

// readKeys hands on what is typed.
func (l *loop) readKeys(ctx context.Context) {
	for {
		b := make([]byte, 256)
		n, err := l.term.read(b)
		if err != nil {
			close(l.keys) // not deferred: a panic has its own way
			return
		}
		select {
		case l.keys <- b[:n]:
		case <-ctx.Done():
			return
		}
	}
}

// draw writes the screen.
func (l *loop) draw(clear bool) error {
	l.frame = appendFrame(l.frame[:0], l.model.frame(l.width, l.height, time.Now()), l.width, clear)
	return l.term.write(l.frame)
}
