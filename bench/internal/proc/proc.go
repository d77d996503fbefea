// Package proc runs a program in a network namespace, on one CPU if wanted, and reads what it costs.
package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"tcp-stream-exporter/internal/netns"

	"golang.org/x/sys/unix"
)

// Options of a program.
type Options struct {
	Namespace string   // as ip netns knows it
	CPU       int      // all of its threads run there; -1: anywhere
	Argv      []string // program and arguments
	Ready     string   // Start waits for this text in a line on standard error; empty: it does not wait
}

// Proc is a running program. It is killed when this process ends, in whatever way.
type Proc struct {
	PID  int
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer // standard output; to be read after done
	done chan struct{}
	err  error // of waiting, after done

	mu   sync.Mutex
	last string // line on standard error
}

const (
	readyTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// Start starts a program and waits until it is ready.
func Start(o Options) (*Proc, error) {
	p := &Proc{name: o.Argv[0], cmd: exec.Command(o.Argv[0], o.Argv[1:]...), done: make(chan struct{})}
	stderr, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = &p.out, w
	// The kernel ties the program to the thread that started it: the one below, which waits for it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		defer w.Close()
		p.err = netns.Do(o.Namespace, func() error {
			err := p.start(o.CPU)
			started <- err
			if err != nil {
				return err
			}
			return p.cmd.Wait()
		})
		select {
		case started <- p.err: // there is no such namespace
		default:
		}
	}()
	ready := make(chan struct{})
	go p.listen(stderr, o.Ready, ready)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("proc: start %s: %w", p.name, err)
	}
	p.PID = p.cmd.Process.Pid
	if o.Ready == "" {
		return p, nil
	}
	select {
	case <-ready:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("proc: %s ended: %w: %s", p.name, errors.Join(p.err), p.lastLine())
	case <-time.After(readyTimeout):
		return nil, errors.Join(fmt.Errorf("proc: %s is not ready after %v: %s", p.name, readyTimeout, p.lastLine()), p.kill())
	}
}

// start runs on a thread of its own, whose namespace and CPUs the program inherits.
func (p *Proc) start(cpu int) error {
	if cpu >= 0 {
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("pin to CPU %d: %w", cpu, err)
		}
	}
	return p.cmd.Start()
}

// listen keeps the last line and signals when the line with Ready has come.
func (p *Proc) listen(stderr io.Reader, text string, ready chan struct{}) {
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.mu.Lock()
		p.last = lines.Text()
		p.mu.Unlock()
		if ready != nil && text != "" && strings.Contains(lines.Text(), text) {
			close(ready)
			ready = nil
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // a line too long for the scanner must not block the program
}

// LastLine returns the last line on standard error so far.
func (p *Proc) LastLine() string { return p.lastLine() }

func (p *Proc) lastLine() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Ended is closed once the program has ended.
func (p *Proc) Ended() <-chan struct{} { return p.done }

// Stop interrupts the program, waits for its end and returns what it wrote to standard output. A
// program that had ended before is an error if it failed.
func (p *Proc) Stop() (string, error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", fmt.Errorf("proc: interrupt %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		return "", errors.Join(fmt.Errorf("proc: %s has not ended %v after an interrupt", p.name, stopTimeout), p.kill())
	}
	if p.err != nil {
		return "", fmt.Errorf("proc: %s: %w: %s", p.name, p.err, p.lastLine())
	}
	return p.out.String(), nil
}

func (p *Proc) kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	return err
}
