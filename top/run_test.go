package top

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the files of testdata anew")

// times are what differs from run to run: the time of day and the address.
var times = regexp.MustCompile(`\d\d:\d\d:\d\d|127\.0\.0\.1:\d+`)

// golden compares a screen with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = times.ReplaceAllStringFunc(got, func(s string) string {
		if strings.HasPrefix(s, "127.") {
			return "router:9100"
		}
		return "12:34:56"
	})
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, name); got != want {
		t.Errorf("the screen differs from %s (go test ./top -update writes it anew):\n%s\nwant\n%s", path, got, want)
	}
}

func TestScreens(t *testing.T) {
	long := strings.ReplaceAll(readFile(t, "streams.json"), `"192.0.2.7"`, `"2001:db8:1234:5678:9abc:def0:1234:5678"`)
	for _, c := range []struct {
		name          string
		width, height int
		set           func(*exporter)
		keys          string // in one piece
		until         string
	}{
		{name: "streams80.txt", width: 80, height: 24},
		{name: "streams120.txt", width: 120, height: 24},
		{name: "streams200.txt", width: 200, height: 12},
		{name: "rate80.txt", width: 80, height: 12, keys: "t", until: "by bitrate"},
		{name: "ipv6at80.txt", width: 80, height: 12, set: func(e *exporter) { e.set("/api/v1/streams", 0, long) }},
		{name: "ipv6at120.txt", width: 120, height: 12, set: func(e *exporter) { e.set("/api/v1/streams", 0, long) }},
		{name: "small.txt", width: 20, height: 4},
		{name: "groups80.txt", width: 80, height: 12, keys: "g", until: "groups, by bytes"},
		{name: "groups120.txt", width: 120, height: 12, keys: "gh", until: "by failed"},
		{name: "help80.txt", width: 80, height: 24, keys: "?", until: "any key: back"},
		{name: "filter80.txt", width: 80, height: 12, keys: "/10.0.0.0/8 x", until: "10.0.0.0/8 x_"},
		{name: "wrongfilter80.txt", width: 80, height: 12, keys: "/10.0.0.0/8 x\r", until: "NAME=VALUE"},
		{name: "incomplete80.txt", width: 80, height: 12, until: "INCOMPLETE: 2 reasons", set: func(e *exporter) {
			e.set("/api/v1/status", 0, strings.NewReplacer(`"state":"complete"`, `"state":"incomplete"`, `"reasons":[]`, `"reasons":[{"text":"a"},{"text":"b"}]`,
				`nothing was lost in the last minute`, `12 packets: the ring of worker 0 was full: raise -numblocks`).Replace(readFile(t, "status.json")))
		}},
		{name: "nostatus80.txt", width: 80, height: 12, until: "not known whether", set: func(e *exporter) { e.set("/api/v1/status", 404, `{"error":"not found"}`) }},
		{name: "nogroups80.txt", width: 80, height: 12, keys: "g", until: "no groups are counted here", set: func(e *exporter) {
			e.set("/api/v1/groups", 404, `{"error":"/api/v1/groups: no groups are counted here: /api/v1/streams has the streams"}`)
		}},
		{name: "wrong80.txt", width: 80, height: 12, until: "vlan=5", set: func(e *exporter) {
			e.set("/api/v1/streams", 400, `{"error":"vlan=5: streams are not told apart by it"}`)
		}},
		{name: "password80.txt", width: 80, height: 12, until: "no entry", set: func(e *exporter) { e.set("/api/v1/status", 401, "Unauthorized\n") }},
		{name: "busy80.txt", width: 80, height: 12, until: "too many requests", set: func(e *exporter) {
			e.set("/api/v1/streams", 503, `{"error":"too many requests are under way: try again in a second"}`)
		}},
		{name: "other80.txt", width: 80, height: 12, until: "something else", set: func(e *exporter) { e.set("/api/v1/status", 0, "<html>") }},
	} {
		t.Run(strings.TrimSuffix(c.name, ".txt"), func(t *testing.T) {
			e := newExporter(t)
			if c.set != nil {
				c.set(e)
			}
			s := show(t, e.URL, c.width, c.height, func(o *Options) { o.Interval = time.Minute })
			if c.until == "" {
				c.until = "10.0.0.9:5"
				if c.width < 80 {
					c.until = "COMPLETE"
				}
			}
			if c.keys != "" {
				s.keys <- c.keys
			}
			// The answer may come after the keys, which is shown by then.
			text := s.until(c.until)
			if strings.Contains(text, "asking ") {
				s.until("COMPLETE")
			}
			golden(t, c.name, s.String())
		})
	}
}

// Each key sorts by its figure, and the exporter does it.
func TestSorts(t *testing.T) {
	e := newExporter(t)
	s := show(t, e.URL, 80, 24, nil)
	for _, c := range []struct{ key, sort string }{
		{"t", "bitrate"}, {"p", "packets"}, {"r", "retransmits"}, {"d", "delay"}, {"h", "health"}, {"b", "bytes"},
	} {
		s.keys <- c.key
		s.until("by " + c.sort)
		q := e.questions("/api/v1/streams")
		if last := q[len(q)-1]; last != "limit=18&sort="+c.sort {
			t.Errorf("%s: asked for %s", c.key, last)
		}
	}
}

// A filter goes to the exporter, and what is no filter stays on the screen with a remedy.
func TestFilterKeys(t *testing.T) {
	e := newExporter(t)
	s := show(t, e.URL, 80, 24, nil)
	s.until("10.0.0.9:5")
	for _, c := range []struct{ keys, until, want string }{
		{"/10.0.0.0/8 443x\x7f active\r", "; filter: addr=10.0.0.0/8 port=443", "addr=10.0.0.0%2F8&limit=18&port=443&sort=bytes&state=active"},
		{"/\x15nobody\r", "nobody: want an address", ""},
		{"\x15group=lan\r", "; filter: group=lan", "group=lan&limit=18&sort=bytes"},
		{"/q\x1b[A", "filter: group=lanq_", ""}, // no key of the table's, and an arrow is none
		{"\x1b", "; filter: group=lan; IPv6", ""},
		{"/\x15\r", "by bytes; IPv6", "limit=18&sort=bytes"},
	} {
		s.keys <- c.keys
		s.until(c.until)
		q := e.questions("/api/v1/streams")
		if last := q[len(q)-1]; c.want != "" && last != c.want {
			t.Errorf("%q: asked for %s, want %s", c.keys, last, c.want)
		}
	}
}

func TestResize(t *testing.T) {
	e := newExporter(t)
	s := show(t, e.URL, 80, 24, nil)
	s.until("10.0.0.9:5")
	s.resize(120, 50)
	s.signals <- resized
	if text := s.until("JITTER"); strings.Count(text, "? help") != 1 {
		t.Errorf("the old screen shows through:\n%s", text)
	}
	poll(t, func() error {
		if q := e.questions("/api/v1/streams"); !strings.HasPrefix(q[len(q)-1], "limit=44&") {
			return fmt.Errorf("asked for %s", q[len(q)-1])
		}
		return nil
	})
	s.resize(60, 5) // too small for all of it
	s.signals <- resized
	poll(t, func() error {
		if text := s.String(); !strings.Contains(text, "? help") || strings.Contains(text, "JITTER") {
			return fmt.Errorf("the keys are gone:\n%s", text)
		}
		return nil
	})
}

// Nothing is asked in a pause but what a key wants to know.
func TestPause(t *testing.T) {
	e := newExporter(t)
	s := show(t, e.URL, 80, 24, nil)
	s.until("10.0.0.9:5")
	s.keys <- " "
	s.until("PAUSED")
	time.Sleep(50 * time.Millisecond) // a question that was under way
	n := len(e.questions("/api/v1/streams"))
	time.Sleep(200 * time.Millisecond) // ten intervals
	if now := len(e.questions("/api/v1/streams")); now != n {
		t.Errorf("%d questions in a pause", now-n)
	}
	s.keys <- "d"
	s.until("by delay")
	s.keys <- " "
	s.until("every 20ms")
	poll(t, func() error {
		if now := len(e.questions("/api/v1/streams")); now < n+4 {
			return fmt.Errorf("%d questions after the pause", now-n)
		}
		return nil
	})
}

// An exporter that goes away is told of in one line, beside the figures that there were, and taken up again.
func TestRestart(t *testing.T) {
	e := newExporter(t)
	s := show(t, e.URL, 80, 24, nil)
	s.until("10.0.0.9:5")
	address := e.Listener.Addr().String()
	e.Close()
	if text := s.until("connection refused: is the exporter running there?"); !strings.Contains(text, "10.0.0.9:5") || strings.Contains(text, "COMPLETE") {
		t.Errorf("without an exporter:\n%s", text)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{Handler: e}
	defer again.Close()
	go again.Serve(l)
	s.until("COMPLETE: nothing was lost")
}

// The terminal is brought back however top ends.
func TestEnds(t *testing.T) {
	e := newExporter(t)
	for name, end := range map[string]func(*shown){
		"q":          func(s *shown) { s.keys <- "q" },
		"Ctrl-C":     func(s *shown) { s.keys <- "/\x03" },
		"signal":     func(s *shown) { s.stop() },
		"no more":    func(s *shown) { close(s.keys) },
		"q in help":  func(s *shown) { s.keys <- "?q" },
		"while asks": func(s *shown) { s.keys <- "rq" },
	} {
		t.Run(name, func(t *testing.T) {
			s := show(t, e.URL, 80, 24, nil)
			s.until("10.0.0.9:5")
			end(s)
			s.wait()
		})
	}
}

// doer is a Doer of a function.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// A panic ends the program as ever, but the terminal is brought back first, whichever goroutine panics.
func TestPanics(t *testing.T) {
	for name, set := range map[string]func(*screen, *Options){
		"asking": func(_ *screen, o *Options) {
			o.HTTP = doer(func(*http.Request) (*http.Response, error) { panic("oops") })
		},
		"keyboard": func(s *screen, _ *Options) { s.failRead = func() { panic("oops") } },
		"loop": func(_ *screen, o *Options) {
			o.HTTP = doer(func(*http.Request) (*http.Response, error) { return nil, context.Canceled })
			o.Sort = numOrders + 100 // has no name
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := newScreen(80, 24), options(t, "localhost:1")
			set(s, o)
			defer func() {
				v := recover()
				if text := fmt.Sprint(v); v == nil || s.ended != 1 || name != "loop" && (!strings.Contains(text, "oops") || !strings.Contains(text, "goroutine")) {
					t.Errorf("ended %d times, panic %v", s.ended, v)
				}
			}()
			if name == "loop" {
				run(t.Context(), o, loopPanics{s}, nil)
			} else {
				run(t.Context(), o, s, nil)
			}
			t.Error("no panic")
		})
	}
}

// loopPanics panics in the loop's goroutine.
type loopPanics struct{ *screen }

func (loopPanics) write([]byte) error { panic("oops") }

// Names that would command the terminal are shown without what they command.
func TestHostileExporter(t *testing.T) {
	e := newExporter(t)
	evil := `\u001b]0;owned\u0007\r\n\u009b2J\u202e`
	e.set("/api/v1/streams", 0, strings.NewReplacer(`"eth0"`, `"`+evil+`"`, `"lan"`, `"`+evil+`"`, `"active"`, `"`+evil+`"`, `"443"`, `"`+evil+`"`).Replace(readFile(t, "streams.json")))
	e.set("/api/v1/status", 0, strings.NewReplacer(`"eth0"`, `"`+evil+`"`, "nothing was lost", evil).Replace(readFile(t, "status.json")))
	s := show(t, e.URL, 200, 24, nil) // which complains about control characters
	s.until("]0;owned????2J?")
	for _, status := range []int{400, 404, 503} {
		e.set("/api/v1/streams", status, fmt.Sprintf(`{"error":"%s%d"}`, evil, status))
		s.until(fmt.Sprintf("]0;owned????2J?%d", status))
	}
}

func TestOnce(t *testing.T) {
	e := newExporter(t)
	for _, c := range []struct {
		name  string
		width int
		view  view
		rows  int
	}{{"once.txt", 0, ofStreams, 20}, {"once80.txt", 80, ofStreams, 20}, {"oncegroups.txt", 0, ofGroups, 1}} {
		var out bytes.Buffer
		o := options(t, e.URL)
		o.View, o.Rows = c.view, c.rows
		if err := Once(t.Context(), o, &out, c.width); err != nil {
			t.Fatal(err)
		}
		golden(t, c.name, out.String())
	}
	e.Close()
	err := Once(t.Context(), options(t, e.URL), &bytes.Buffer{}, 0)
	if err == nil || err.Error() != e.URL+": connection refused: is the exporter running there?" {
		t.Error(err)
	}
}
