package top

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// exporter answers as an exporter does, from files, or with what a test sets.
type exporter struct {
	*httptest.Server
	mu      sync.Mutex
	asked   []string // paths with their queries
	refused map[string]int
	bodies  map[string]string // by path
}

func newExporter(t *testing.T) *exporter {
	e := &exporter{refused: map[string]int{}, bodies: map[string]string{}}
	for _, name := range []string{"status", "streams", "groups"} {
		e.bodies["/api/v1/"+name] = readFile(t, name+".json")
	}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.String())
	if status := e.refused[r.URL.Path]; status != 0 {
		w.WriteHeader(status)
	}
	io.WriteString(w, e.bodies[r.URL.Path])
}

// set makes a path answer with a status and a body.
func (e *exporter) set(path string, status int, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused[path], e.bodies[path] = status, body
}

// questions returns the queries for a path so far.
func (e *exporter) questions(path string) (queries []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, q := range e.asked {
		if query, ok := strings.CutPrefix(q, path+"?"); ok {
			queries = append(queries, query)
		}
	}
	return queries
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// screen is a terminal in memory that obeys the sequences of package top and complains about others.
type screen struct {
	mu            sync.Mutex
	width, height int
	rows          [][]rune
	began, ended  int
	strange       string // the first sequence that is not known, or character that is not on the screen
	changed       bool   // the size, so that a frame may be of the one before
	keys          chan string
	failRead      func() // called in read
}

func newScreen(width, height int) *screen {
	s := &screen{keys: make(chan string, 10)}
	s.resize(width, height)
	return s
}

func (s *screen) resize(width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = s.rows != nil
	s.width, s.height = width, height
	old := s.rows
	s.rows = make([][]rune, height)
	for i := range s.rows {
		s.rows[i] = []rune(strings.Repeat(" ", width))
		if i < len(old) {
			copy(s.rows[i], old[i]) // a terminal keeps what was there
		}
	}
}

func (s *screen) begin() error { s.began++; return nil }
func (s *screen) end()         { s.ended++ }

func (s *screen) size() (width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.width, s.height
}

func (s *screen) read(b []byte) (int, error) {
	if s.failRead != nil {
		s.failRead()
	}
	keys, open := <-s.keys
	if !open {
		return 0, io.EOF
	}
	return copy(b, keys), nil
}

var sequence = regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])`)

func (s *screen) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, col := 0, 0
	for text := string(b); text != ""; {
		m := sequence.FindStringSubmatch(text)
		if m == nil {
			r := []rune(text)[0]
			if r < ' ' && s.strange == "" {
				s.strange = fmt.Sprintf("%q", text[:min(len(text), 10)])
			}
			if row < s.height && col < s.width {
				s.rows[row][col] = r
			} else if s.strange == "" && !s.changed {
				s.strange = fmt.Sprintf("%q at line %d, column %d", r, row, col)
			}
			col++
			text = text[len(string(r)):]
			continue
		}
		text = text[len(m[0]):]
		switch m[2] {
		case "H":
			at, _, _ := strings.Cut(m[1], ";")
			row, _ = strconv.Atoi(at)
			row, col = row-1, 0
		case "K":
			for ; row < s.height && col < s.width; col++ {
				s.rows[row][col] = ' '
			}
		case "J":
			for i := range s.rows {
				s.rows[i] = []rune(strings.Repeat(" ", s.width))
			}
		case "m":
		default:
			s.strange = fmt.Sprintf("%q", m[0])
		}
	}
	return nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, r := range s.rows {
		b.WriteString(strings.TrimRight(string(r), " ") + "\n")
	}
	return b.String()
}

// shown is a screen on which top runs.
type shown struct {
	*screen
	t       *testing.T
	signals chan os.Signal
	stop    context.CancelFunc
	done    chan error
}

// show runs top of an address until the test ends.
func show(t *testing.T, address string, width, height int, change func(*Options)) *shown {
	t.Helper()
	o := options(t, address)
	if change != nil {
		change(o)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &shown{newScreen(width, height), t, make(chan os.Signal, 1), stop, make(chan error, 1)}
	go func() { s.done <- run(ctx, o, s.screen, s.signals) }()
	t.Cleanup(func() {
		stop()
		s.wait()
		if s.began != 1 || s.ended != 1 || s.strange != "" {
			t.Errorf("begun %d times, ended %d times; got %s", s.began, s.ended, s.strange)
		}
	})
	return s
}

// wait waits until top has ended. It may be called more than once.
func (s *shown) wait() {
	s.t.Helper()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Error(err)
		}
		s.done <- nil
	case <-time.After(10 * time.Second):
		s.t.Fatalf("it does not end\n%s", s)
	}
}

// until waits until the screen shows a text.
func (s *shown) until(text string) string {
	s.t.Helper()
	var now string
	poll(s.t, func() error {
		if now = s.String(); !strings.Contains(now, text) {
			return fmt.Errorf("no %q on the screen:\n%s", text, now)
		}
		return nil
	})
	return now
}

// poll calls f until it has no error.
func poll(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// options returns those of an address, with a client of no settings, and an interval that is over soon.
func options(t *testing.T, address string) *Options {
	t.Helper()
	u, err := ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewHTTP("")
	if err != nil {
		t.Fatal(err)
	}
	return &Options{Address: u, HTTP: c, Interval: 20 * time.Millisecond, Rows: 20}
}

const resized = syscall.SIGWINCH
