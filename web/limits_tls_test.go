package web

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw2 is a client of HTTP/2 that sends what it is told to.
type raw2 struct {
	*tls.Conn
	*http2.Framer
	header hpack.Encoder
	block  strings.Builder
}

// dial2 connects and sends the preface and empty settings.
func (f *files) dial2(t *testing.T, address string) *raw2 {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: f.authority.Pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := &raw2{Conn: c, Framer: http2.NewFramer(c, c)}
	r.header = *hpack.NewEncoder(&r.block)
	_, err = io.WriteString(c, http2.ClientPreface)
	if err != nil || r.WriteSettings() != nil {
		t.Fatal(err)
	}
	return r
}

// get sends a request, or the beginning of one.
func (r *raw2) get(t *testing.T, stream uint32, path string, whole bool) {
	t.Helper()
	r.block.Reset()
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}} {
		if err := r.header.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: []byte(r.block.String()), EndStream: true, EndHeaders: whole,
	}); err != nil {
		t.Fatal(err)
	}
}

// endless answers /long without an end, and /work when release is closed.
func endless(release <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/work":
			<-release
		case "/long":
			p := make([]byte, piece)
			for {
				if _, err := w.Write(p); err != nil {
					return
				}
			}
		}
		_, _ = io.WriteString(w, "in\n")
	})
}

// While all connections are in the handler, one more gets an alert before its handshake, and is counted.
func TestOneTooManyByTLS(t *testing.T) {
	f := newFiles(t, overTLS)
	release := make(chan struct{})
	b, address, _ := f.open(t, endless(release), 2)
	defer close(release)
	for range 2 {
		f.dial2(t, address).get(t, 1, "/work", true)
	}
	await(t, "requests in the handler", func() bool { return b.states(answering) == 2 })
	for range 3 {
		_, err := tls.Dial("tcp", address, &tls.Config{RootCAs: f.authority.Pool()})
		if err == nil || !strings.Contains(err.Error(), "remote error: tls: internal error") {
			t.Errorf("%v, want the alert", err)
		}
	}
	if figures := b.Figures(); figures != (ConnFigures{Refused: 3}) {
		t.Errorf("%+v", figures)
	}
}

// Whatever keeps a connection without use gives way at once to one that asks.
func TestConnectionsWithoutUseMakeRoomByTLS(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, f *files, address string){
		"no handshake": func(t *testing.T, _ *files, address string) { connect(t, address) },
		"half of a handshake": func(t *testing.T, _ *files, address string) {
			_, _ = connect(t, address).Write([]byte{22, 3, 1, 2, 0, 1})
		},
		"no request": func(t *testing.T, f *files, address string) {
			c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: f.authority.Pool()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		},
		"a header of HTTP/1 without an end": func(t *testing.T, f *files, address string) {
			c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: f.authority.Pool()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
		},
		"nothing behind the preface": func(t *testing.T, f *files, address string) { f.dial2(t, address) },
		"a header of HTTP/2 without an end": func(t *testing.T, f *files, address string) {
			f.dial2(t, address).get(t, 1, "/", false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t, overTLS)
			b, address, _ := f.open(t, ok, 3)
			for range 3 {
				begin(t, f, address)
			}
			for range 3 {
				if status, _ := get(t, f.client(t), "https://"+address, "", ""); status != 200 {
					t.Errorf("%d beside connections without use", status)
				}
			}
			if figures := b.Figures(); figures.Refused+figures.Idle == 0 || figures.Stalled != 0 {
				t.Errorf("%+v", figures)
			}
		})
	}
}

// Clients that do not read make room after the stall time, whether their windows are full or their sockets.
func TestStalledConnectionsMakeRoomByTLS(t *testing.T) {
	for name, stall := range map[string]func(t *testing.T, f *files, address string){
		"a full window of HTTP/2": func(t *testing.T, f *files, address string) { f.dial2(t, address).get(t, 1, "/long", true) },
		"several full windows": func(t *testing.T, f *files, address string) {
			c := f.dial2(t, address)
			for stream := range uint32(maxStreams) {
				c.get(t, 2*stream+1, "/long", true)
			}
		},
		"a full socket behind wide windows": func(t *testing.T, f *files, address string) {
			c := f.dial2(t, address)
			if err := c.WriteWindowUpdate(0, 1<<30); err != nil {
				t.Fatal(err)
			}
			if err := c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}); err != nil {
				t.Fatal(err)
			}
			c.get(t, 1, "/long", true)
		},
		"HTTP/1": func(t *testing.T, f *files, address string) {
			c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: f.authority.Pool()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			_, _ = io.WriteString(c, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t, overTLS)
			b, address, _ := f.open(t, endless(nil), 2)
			for range 2 {
				stall(t, f, address)
			}
			await(t, "requests in the handler", func() bool { return b.states(answering) == 2 })
			begin := time.Now()
			for {
				if status, _ := get(t, f.client(t), "https://"+address, "", ""); status == 200 {
					break
				}
				if took := time.Since(begin); took > 5*time.Second {
					t.Fatalf("refused for %v", took)
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("served after %v", time.Since(begin))
			if figures := b.Figures(); figures.Stalled != 1 {
				t.Errorf("%+v, want one stalled one reset", figures)
			}
		})
	}
}

// A connection with a stream at work keeps its place, also when others on it are over or stalled.
func TestAConnectionAtWorkKeepsItsPlace(t *testing.T) {
	for _, beside := range []string{"/", "/long"} {
		f := newFiles(t, overTLS)
		release := make(chan struct{})
		b, address, _ := f.open(t, endless(release), 1)
		c := f.dial2(t, address)
		if err := c.WriteWindowUpdate(0, 1<<20); err != nil { // the connection's; a stalled stream fills its own
			t.Fatal(err)
		}
		c.get(t, 1, "/work", true)
		c.get(t, 3, beside, true)
		await(t, "a request in the handler", func() bool { return b.states(answering) == 1 })
		for end := time.Now().Add(3 * stallTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if status, _ := get(t, f.client(t), "https://"+address, "", ""); status != 0 {
				t.Fatalf("beside %s: %d, want a refusal", beside, status)
			}
		}
		close(release)
		status := ""
		for status == "" {
			frame, err := c.ReadFrame()
			if err != nil {
				t.Fatalf("beside %s: %v", beside, err)
			}
			if data, is := frame.(*http2.DataFrame); is && data.StreamID == 1 && len(data.Data()) > 0 {
				status = string(data.Data())
			}
		}
		if status != "in\n" {
			t.Errorf("beside %s the stream at work got %q", beside, status)
		}
	}
}

// Streams above the bound are refused, and those below it answered.
func TestManyStreamsOnOneConnection(t *testing.T) {
	const many = 50
	f := newFiles(t, overTLS)
	release := make(chan struct{})
	b, address, _ := f.open(t, endless(release), 2)
	c := f.dial2(t, address)
	refused, answers, released := 0, 0, false
	for stream := range uint32(many) {
		c.get(t, 2*stream+1, "/work", true)
	}
	await(t, "requests in the handler", func() bool { return b.states(answering) == 1 })
	for refused+answers < many {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("%d refused, %d answered: %v", refused, answers, err)
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			if frame.ErrCode != http2.ErrCodeRefusedStream {
				t.Errorf("stream %d: %v", frame.StreamID, frame.ErrCode)
			}
			refused++
		case *http2.HeadersFrame:
			answers++
		}
		if refused == many-maxStreams && !released {
			close(release)
			released = true
		}
	}
	if answers != maxStreams {
		t.Errorf("%d answers and %d refusals, want %d and %d", answers, refused, maxStreams, many-maxStreams)
	}
}

// A reader of HTTP/2 that is slow and steady gets everything; one that stops loses its stream after the piece's time,
// and one that lets the socket fill its connection.
func TestReadersOfHTTP2(t *testing.T) {
	const stall, bytes = 300 * time.Millisecond, 16 << 20
	f := newFiles(t, overTLS)
	cut := make(chan error, 8)
	srv := server("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := make([]byte, piece)
		for range bytes / piece {
			if _, err := w.Write(p); err != nil {
				cut <- err
				return
			}
		}
	}), stall)
	srv.ErrorLog = log.New(io.Discard, "", 0)
	_, address, _ := f.guard(t, srv, 8)

	resp, err := f.client(t).Get("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	begin, total := time.Now(), 0
	for p := make([]byte, piece); ; time.Sleep(stall / 60) {
		n, err := io.ReadFull(resp.Body, p)
		if total += n; err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
	}
	resp.Body.Close()
	if took := time.Since(begin); total != bytes || resp.ProtoMajor != 2 || took < 2*stall {
		t.Errorf("%s: %d bytes in %v", resp.Proto, total, took)
	}
	for name, wide := range map[string]bool{"window": false, "socket": true} {
		c := f.dial2(t, address)
		if wide {
			if c.WriteWindowUpdate(0, 1<<30) != nil || c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}) != nil {
				t.Fatal("the windows stay")
			}
		}
		c.get(t, 1, "/", true)
		select {
		case err := <-cut:
			t.Logf("a full %s: %v", name, err)
		case <-time.After(15 * time.Second):
			t.Errorf("the client with a full %s holds its handler", name)
		}
	}
}

// A header above the bound is refused by HTTP/2 as by HTTP/1, without ending in the handler.
func TestALongHeaderByTLS(t *testing.T) {
	f := newFiles(t, overTLS)
	_, address, _ := f.open(t, ok, 8)
	for _, c := range []struct{ bytes, want int }{{maxHeaderBytes / 2, 200}, {2 * maxHeaderBytes, 431}} {
		req, err := http.NewRequest(http.MethodGet, "https://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Long", strings.Repeat("x", c.bytes))
		resp, err := f.client(t).Do(req)
		if err != nil {
			if c.want == 200 { // one value above the bound ends the connection, several are answered
				t.Errorf("%d bytes: %v", c.bytes, err)
			}
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != c.want || resp.ProtoMajor != 2 {
			t.Errorf("%d bytes: %s %s, want %d", c.bytes, resp.Proto, resp.Status, c.want)
		}
	}
}

// A handshake that does not end is cut off by the header's limit.
func TestAnEndlessHandshakeIsCutOff(t *testing.T) {
	f := newFiles(t, overTLS)
	srv := Server("", ok)
	srv.ErrorLog = log.New(io.Discard, "", 0)
	srv.ReadHeaderTimeout = 100 * time.Millisecond
	_, address, _ := f.guard(t, srv, 8)
	begin := time.Now()
	c := connect(t, address)
	if _, err := fmt.Fprint(c, "\x16\x03\x01\x02\x00\x01"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, net.Conn(c)); err != nil {
		t.Log(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the connection was held for %v", took)
	}
}
